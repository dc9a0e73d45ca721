/** `stead init --join` against a gateway with a host that tells where its vault is. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../../src/config/load.ts";
import { formatProblems } from "../../../src/config/problems.ts";
import type { Config } from "../../../src/config/types.ts";
import { runStead } from "../../support/cli/run-cli.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
let url = "";
const tokens: Record<string, string> = {};
beforeAll(async () => {
  cluster = new TestCluster();
  const host = await cluster.addHost("a");
  await cluster.startGateway();
  await cluster.serving();
  host.says({ program: { version: "1", wallTimeMs: 1, vaultUrl: "file:///mnt/vault/notes" } });
  await until(() => cluster.service().hosts[0]?.program !== null);
  url = `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
  for (const role of ["viewer", "admin"] as const) {
    const added = await cluster.client.addToken({ name: role, role, validMs: null });
    if (added.kind !== "ok") throw new Error("no token");
    tokens[role] = added.value.token;
  }
});
afterAll(() => cluster.stop());

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-join-"));
  return () => rmSync(folder, { recursive: true, force: true });
});

const giveSecret = (text = secret): void => writeFileSync(join(folder, "stead.secret"), text, { mode: 0o600 });
const init = (args: readonly string[], env: Record<string, string> = {}) =>
  runStead(["init", "--join", url, ...args], { cwd: folder, env });

function written(): Config {
  const result = loadConfig(join(folder, "stead.toml"), { env: {} });
  if (result.kind === "invalid") throw new Error(formatProblems(result.problems));
  return result.config;
}

test("a host gets service, vault and the next id from a gateway, and is registered; its token is in no file", async () => {
  giveSecret();
  const run = await init(["--role", "host"], { STEAD_TOKEN: tokens["admin"] ?? "" });
  expect(run).toMatchObject({ code: 0, err: "" });
  expect(run.out).toContain("registered host b of notes at http://127.0.0.1:7701");
  expect(written().host).toMatchObject({ id: "b", service: "notes", vaultUrl: "file:///mnt/vault/notes" });
  expect(cluster.service().hosts.map(({ id }) => id)).toEqual(["a", "b"]);
  for (const name of readdirSync(folder))
    expect(readFileSync(join(folder, name), "utf8")).not.toContain(tokens["admin"] ?? "no token");
});

test("a gateway gets peers and hosts, and an id that no other gateway has; with the secret no token is needed", async () => {
  giveSecret();
  const peers = ["--peers", "10.0.0.1:7700,http://10.0.0.2:7700", "--address", "10.0.0.9"];
  expect(await init(["--role", "gateway", ...peers])).toMatchObject({ code: 0, err: "" });
  expect(written().gateway).toMatchObject({ id: "gw1", peers: ["http://10.0.0.1:7700", "http://10.0.0.2:7700"] });
  expect(written().services[0]?.hosts[0]).toMatchObject({ id: "a", controlUrl: cluster.host("a").controlUrl });
});

test("without the secret, or with another one, nothing is written", async () => {
  expect(await init(["--role", "host"])).toMatchObject({ code: 3, err: expect.stringContaining("there is no") });
  giveSecret("another-secret-of-nobody");
  const wrong = await init(["--role", "host"], { STEAD_TOKEN: tokens["viewer"] ?? "" });
  expect(wrong).toMatchObject({ code: 3, err: expect.stringContaining("is not that of the gateway g1") });
  expect(readdirSync(folder)).toEqual(["stead.secret"]);
});

test("an id of another host is refused, and a token that may not register says so behind the files", async () => {
  giveSecret();
  expect(await init(["--role", "host", "--host", "a"])).toMatchObject({
    code: 2,
    err: expect.stringContaining('there is a host "a" already'),
  });
  const viewer = await init(["--role", "host", "--host", "z"], { STEAD_TOKEN: tokens["viewer"] ?? "" });
  expect(viewer).toMatchObject({ code: 5, err: expect.stringContaining("run `stead hosts add z") });
  expect(written().host?.id).toBe("z");
  expect(cluster.service().hosts.map(({ id }) => id)).not.toContain("z");
});

test("a cluster on other machines is not joined with an address of this machine alone", async () => {
  giveSecret();
  const run = await runStead(["init", "--join", "http://192.0.2.1:7700"], { cwd: folder });
  expect(run).toMatchObject({ code: 2, err: expect.stringContaining("without --address") });
});

test("for the units the configuration can be read by all, and secret and databases are the user's alone", async () => {
  const user = process.geteuid?.() === 0 ? "root" : (process.env["USER"] ?? "");
  mkdirSync(join(folder, "etc"));
  const run = await runStead(["init", "etc", "--etc", "--user", user, "--state", "state", "--service", "notes"], {
    cwd: folder,
  });
  expect(run).toMatchObject({ code: 0, err: "" });
  const modeOf = (name: string): string => (statSync(join(folder, name)).mode & 0o777).toString(8);
  expect(["etc", "etc/stead.toml", "etc/stead.secret", "state"].map(modeOf)).toEqual(["755", "644", "600", "700"]);
  const result = loadConfig(join(folder, "etc", "stead.toml"), { env: {} });
  expect(result.kind === "ok" && [result.config.gateway?.databasePath, result.config.host?.dataFolder]).toEqual([
    join(folder, "state/gateway.db"),
    join(folder, "state/data"),
  ]);
  expect(result.kind === "ok" && result.config.host?.vaultUrl).toBe("file:///mnt/vault/notes");
  expect(run.out).toContain("systemctl enable --now stead-gateway stead-host");
});

test("a user that this machine does not have is refused before anything is written", async () => {
  expect(await runStead(["init", "etc", "--etc", "--user", "no-such-user"], { cwd: folder })).toMatchObject({
    code: 7,
    err: expect.stringContaining("useradd --system"),
  });
  expect(readdirSync(folder)).toEqual([]);
});
