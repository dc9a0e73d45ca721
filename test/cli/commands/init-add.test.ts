/** `stead init --add`: a further service on a machine that has one. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../../src/config/load.ts";
import { formatProblems } from "../../../src/config/problems.ts";
import type { Config } from "../../../src/config/types.ts";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-add-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const init = (...args: readonly string[]) => runStead(["init", ...args], { cwd: folder });
const add = (service: string, ...args: readonly string[]) => init("--add", "--service", service, ...args);
const text = (name: string): string => readFileSync(join(folder, name), "utf8");

function written(name: string): Config {
  const result = loadConfig(join(folder, name), { env: {} });
  if (result.kind === "invalid") throw new Error(formatProblems(result.problems));
  return result.config;
}

test("a further service gets a host with a file of its own, and the gateway's file a service behind what it has", async () => {
  expect((await init("--service", "notes", "--address", "10.0.0.1")).code).toBe(0);
  writeFileSync(
    join(folder, "stead.toml"),
    `${text("stead.toml")}\n# A note of the operator's, without an end of line`,
  );
  chmodSync(join(folder, "stead.toml"), 0o640);
  const before = text("stead.toml");
  const run = await add("memos", "--match-host", "memos.example", "--command", "bun memos.ts", "--create-vault");
  expect(run).toMatchObject({ code: 0, err: "" });
  expect(run.out).toContain(`added [[service]] memos to ${join(folder, "stead.toml")}`);
  expect(run.out).toContain(`stead host ${join(folder, "memos.toml")}`);
  expect(text("stead.toml").startsWith(before)).toBe(true);
  expect(statSync(join(folder, "stead.toml")).mode & 0o777).toBe(0o640);
  const { services, host } = written("stead.toml");
  expect(host?.service).toBe("notes");
  expect(
    services.map(({ name, match, hosts }) => [name, match.host, hosts.map(({ controlUrl }) => controlUrl)]),
  ).toEqual([
    ["notes", undefined, ["http://10.0.0.1:7701"]],
    ["memos", "memos.example", ["http://10.0.0.1:7702"]],
  ]);
  const further = written("memos.toml");
  expect(further.gateway).toBeUndefined();
  expect(further.host).toMatchObject({
    ...{ id: "a", service: "memos", controlUrl: "http://10.0.0.1:7702", dataUrl: "http://10.0.0.1:8002" },
    ...{ dataFolder: join(folder, "memos-data"), vaultUrl: `file://${join(folder, "memos-vault")}`, bootstrap: true },
  });
  expect(further.host?.application.command).toEqual(["bun", "memos.ts"]);
  expect(further.host?.secret).toBe(written("stead.toml").host?.secret ?? "no secret");
});

test("each further one has ports that no file of the folder names", async () => {
  await init("--service", "notes");
  writeFileSync(join(folder, "other.toml"), 'listen = "127.0.0.1:8003"\n');
  for (const service of ["one", "two"])
    expect(await add(service, "--match-path", `/${service}`)).toMatchObject({ code: 0, err: "" });
  const portsOf = (name: string) => [written(name).host?.controlListen.port, written(name).host?.dataListen.port];
  expect([portsOf("one.toml"), portsOf("two.toml")]).toEqual([
    [7702, 8002],
    [7704, 8004],
  ]);
  expect(written("stead.toml").services.map(({ match }) => match.path)).toEqual([undefined, "/one", "/two"]);
});

test("a gateway's file gets the service alone, and a host's machine the host alone", async () => {
  await init("--role", "gateway", "--service", "notes", "--address", "10.0.0.1");
  const run = await add("memos", "--role", "gateway", "--match-host", "memos.example", "--tls");
  expect(run).toMatchObject({ code: 0, err: "" });
  expect(readdirSync(folder).filter((name) => name.endsWith(".pem"))).toEqual([]);
  expect(written("stead.toml").services.map(({ name }) => name)).toEqual(["notes", "memos"]);
  expect(readdirSync(folder).filter((name) => name.endsWith(".toml"))).toEqual(["stead.toml"]);
  rmSync(join(folder, "stead.toml"));
  await init("--role", "host", "--service", "notes", "--address", "10.0.0.2");
  const before = text("stead.toml");
  expect(await add("memos", "--role", "host")).toMatchObject({ code: 0, err: "" });
  expect(text("stead.toml")).toBe(before);
  expect(written("memos.toml").host?.controlUrl).toBe("http://10.0.0.2:7702");
});

test("with mutual TLS the further host has a certificate of its own", async () => {
  await init("--service", "notes", "--tls");
  const refused = await add("memos", "--match-host", "memos.example");
  expect(refused).toMatchObject({ code: 2, err: expect.stringContaining("a certificate names its host") });
  const authority = text("ca.pem");
  expect(await add("memos", "--match-host", "memos.example", "--tls")).toMatchObject({ code: 0, err: "" });
  expect(text("ca.pem")).toBe(authority);
  const { tls } = written("memos.toml").host?.cluster ?? {};
  expect(tls?.certPath).toBe(join(folder, "memos-host.pem"));
  expect(new X509Certificate(text("memos-host.pem")).subjectAltName).toContain("memos");
  expect(new X509Certificate(text("tls.pem")).subjectAltName).not.toContain("memos");
});

test("what keeps a service from being added is said, and nothing is written", async () => {
  const refusals: [args: readonly string[], code: number, found: string][] = [
    [["--add"], 2, "--add without a service's name"],
    [["--add", "--service", "memos"], 2, "the same requests (host any, path any)"],
    [["--add", "--service", "notes", "--match-path", "/x"], 2, "which service[0] is called already"],
    [["--add", "--service", "me mos", "--match-path", "/x"], 2, "would be refused"],
  ];
  expect(await add("memos")).toMatchObject({
    code: 3,
    err: expect.stringContaining("make the first one with `stead init`"),
  });
  expect(readdirSync(folder)).toEqual([]);
  await init("--service", "notes");
  const before = readdirSync(folder).map((name) => [name, text(name)]);
  for (const [args, code, found] of refusals)
    expect([args, await init(...args)]).toMatchObject([args, { code, err: expect.stringContaining(found) }]);
  expect(readdirSync(folder).map((name) => [name, text(name)])).toEqual(before);
  await add("memos", "--match-path", "/memos");
  rmSync(join(folder, "stead.toml"));
  await init("--role", "host", "--service", "notes");
  const both = await add("orders", "--match-path", "/orders");
  expect(both).toMatchObject({ code: 3, err: expect.stringContaining("has no [gateway]") });
  const again = await add("memos", "--role", "host");
  expect(again).toMatchObject({ code: 7, err: expect.stringContaining("memos.toml exists already") });
});
