/** `stead ca`: the authority and certificates that it writes, and what it refuses. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runStead } from "../../support/cli/run-cli.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-ca-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ca = (...args: readonly string[]) => runStead(["ca", ...args], { cwd: folder });
const certificate = (name: string): X509Certificate => new X509Certificate(readFileSync(join(folder, name)));
const modeOf = (name: string): number => statSync(join(folder, name)).mode & 0o777;

test("an authority issues certificates that say what a process is, with keys for their owner alone", async () => {
  expect(await ca("create", "--cluster", "prod")).toMatchObject({ code: 0, err: "" });
  const issued = await ca("issue", "gateway", "gw1", "host", "notes/a", "--cluster", "prod", "--days", "30");
  expect(issued).toMatchObject({ code: 0, out: expect.stringContaining("gateway-gw1.key (mode 0600)") });
  expect([modeOf("ca.key"), modeOf("gateway-gw1.key"), modeOf("ca.pem")]).toEqual([0o600, 0o600, 0o644]);
  const made = certificate("gateway-gw1.pem");
  expect(made.subjectAltName).toBe("URI:stead://prod/gateway/gw1, URI:stead://prod/host/notes/a");
  expect(made.verify(certificate("ca.pem").publicKey)).toBe(true);
  expect((Date.parse(made.validTo) - Date.now()) / 86_400_000).toBeWithin(29, 31);
});

test("an authority is not overwritten; --renew keeps the one before, and both are accepted", async () => {
  await ca("create");
  const before = certificate("ca.pem");
  expect(await ca("create")).toMatchObject({ code: 7, err: expect.stringContaining("ca.pem exists already") });
  expect(certificate("ca.pem").fingerprint256).toBe(before.fingerprint256);
  expect((await ca("create", "--renew")).code).toBe(0);
  expect(certificate("ca.old.pem").fingerprint256).toBe(before.fingerprint256);
  const both = readFileSync(join(folder, "ca.pem"), "utf8").match(/-----BEGIN CERTIFICATE-----/g);
  expect([both?.length, certificate("ca.pem").fingerprint256 === before.fingerprint256]).toEqual([2, false]);
  await ca("issue", "operator", "alice");
  expect(certificate("operator-alice.pem").verify(certificate("ca.pem").publicKey)).toBe(true);
});

test.each([
  [["issue", "gateway", "gw1"], "no authority in"],
  [["issue", "host", "a", "--ca", "x"], "found: host a"],
  [["issue", "worker", "a"], "found: worker a"],
  [["issue", "gateway", "gw1", "host"], "found: host"],
  [["create", "--days", "0"], "from 1 to"],
  [["create", "--cluster", "a b"], '"a b"'],
])("%p is refused in words, and writes nothing", async (args, text) => {
  const { code, err } = await ca(...args);
  expect(code).not.toBe(0);
  expect(err.replaceAll("stead: ", "found: ")).toContain(text);
  expect(existsSync(join(folder, "ca.pem"))).toBe(false);
});
