/** How commands find their gateway, from a file of an operator's machine too, and what they warn of. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clearTextWarning } from "../../../src/cli/commands/gateway-connection.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { runStead } from "../../support/cli/run-cli.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-connection-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const write = (text: string): void => writeFileSync(join(folder, "stead.toml"), text, { mode: 0o600 });
const secret = 'secret = "a-secret-of-the-tests-only"';

test("a file with [cluster] alone has the address and the secret for commands", async () => {
  const url = `http://127.0.0.1:${await freePort("applications")}`;
  write(`[cluster]\n${secret}\ngateway = "${url}"\n`);
  expect(await runStead(["config", "check"], { cwd: folder })).toMatchObject({
    code: 0,
    out: expect.stringContaining("ok: cluster stead, for commands"),
  });
  const { code, err } = await runStead(["status"], { cwd: folder });
  expect([code, err]).toEqual([6, expect.stringContaining(`no gateway answers at ${url}`)]);
});

test("such a file has all that `stead secret rotate` needs, its certificates too", async () => {
  const url = `http://127.0.0.1:${await freePort("applications")}`;
  writeFileSync(join(folder, "s"), "a-secret-of-the-tests-only\n", { mode: 0o600 });
  write(`[cluster]\nsecret_file = "s"\ngateway = "${url}"\n`);
  const { code, err } = await runStead(["secret", "rotate", "--status"], { cwd: folder });
  expect([code, err]).toEqual([6, expect.stringContaining(`no gateway answers at ${url}`)]);
  write(`[cluster]\nsecret_file = "s"\ngateway = "${url}"\ntls = { ca = "ca.pem", cert = "a.pem", key = "a.key" }\n`);
  expect((await runStead(["secret", "rotate", "--status"], { cwd: folder })).err).toContain("ca.pem");
});

test("its certificates are read, also beside a token and an address", async () => {
  write(`[cluster]\n${secret}\ntls = { ca = "ca.pem", cert = "a.pem", key = "a.key" }\n`);
  for (const env of [{}, { STEAD_TOKEN: `stead_0123456789abcdef_${"x".repeat(43)}` }] as Record<string, string>[]) {
    const args = ["status", "--gateway", "http://10.255.255.1:7700", "--config", "stead.toml"];
    const { code, err } = await runStead(args, { cwd: folder, env });
    expect([code, err]).toEqual([3, expect.stringContaining("certificates of [cluster.tls] cannot be used")]);
  }
});

test("without an address in the file there is none, and it is said how to name one", async () => {
  write(`[cluster]\n${secret}\n`);
  const { code, err } = await runStead(["status"], { cwd: folder });
  expect([code, err]).toEqual([3, expect.stringContaining("`gateway` in [cluster]")]);
});

test("a token to another machine in clear text is warned of, and one to this machine is not", () => {
  const isWarned = (host: string): boolean => clearTextWarning(`http://${host}:7700`)?.includes(host) === true;
  expect(["localhost", "127.0.0.1", "127.9.9.9", "[::1]"].map(isWarned)).toEqual([false, false, false, false]);
  expect(["10.0.0.1", "gateway.example", "127.example", "localhost.example", "[::2]"].map(isWarned)).not.toContain(
    false,
  );
});
