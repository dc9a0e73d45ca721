import { afterEach, beforeEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configTemplate, type InitRole } from "../../../src/cli/commands/init-template.ts";
import { parseConfig } from "../../../src/config/load.ts";
import { formatProblems } from "../../../src/config/problems.ts";
import { fileSchema } from "../../../src/config/schema.ts";
import type { Config } from "../../../src/config/types.ts";
import { keyPaths } from "../../../src/config/walk.ts";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-init-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const env = { STEAD_SECRET: "0123456789abcdef" };

function parsed(text: string): Config {
  const result = parseConfig("/etc/stead/stead.toml", text.replace(/^secret_file.*$/m, ""), { env });
  if (result.kind === "invalid") throw new Error(`${formatProblems(result.problems)}\n${text}`);
  return result.config;
}

test("the files that it writes pass the check at once, without a warning, and only the owner can read the secret", async () => {
  expect(await runStead(["init", "--vault", "vault", "--create-vault"], { cwd: folder })).toMatchObject({
    code: 0,
    err: "",
  });
  expect(statSync(join(folder, "stead.secret")).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, "vault")).isDirectory()).toBe(true);
  const check = await runStead(["config", "check"], { cwd: folder });
  expect(check).toMatchObject({
    code: 0,
    err: "",
    out: expect.stringContaining("ok: gateway gw1, service app (1 host), host a"),
  });
});

test("the schema for editors is written beside the file, whose first line names it", async () => {
  await runStead(["init"], { cwd: folder });
  const [, name = ""] = /^#:schema \.\/(.*)$/m.exec(readFileSync(join(folder, "stead.toml"), "utf8")) ?? [];
  expect(readFileSync(join(folder, name), "utf8")).toBe((await runStead(["config", "schema"])).out);
});

test("a vault that cannot be made leaves nothing behind, so that the same command can be given again", async () => {
  const init = ["init", "--vault", "share/notes", "--create-vault"];
  expect(await runStead(init, { cwd: folder })).toMatchObject({
    code: 4,
    err: expect.stringContaining("parent folder does not exist"),
  });
  expect(readdirSync(folder)).toEqual([]);
  mkdirSync(join(folder, "share"));
  expect(await runStead(init, { cwd: folder })).toMatchObject({ code: 0 });
});

test("with --tls the machine has a certificate for what its file configures, by one authority for all machines", async () => {
  const init = (into: string, ...args: readonly string[]) =>
    runStead(["init", into, "--tls", ...args], { cwd: folder });
  expect((await init("one", "--service", "notes")).out).toContain(`wrote ${join(folder, "one/ca.key")}`);
  mkdirSync(join(folder, "two"));
  for (const name of ["ca.pem", "ca.key", "stead.secret"])
    writeFileSync(join(folder, "two", name), readFileSync(join(folder, "one", name)), { mode: 0o600 });
  expect((await init("two", "--role", "host", "--service", "notes", "--host", "b")).code).toBe(0);
  const of = (name: string) => new X509Certificate(readFileSync(join(folder, name)));
  expect(of("one/tls.pem").subjectAltName).toBe("URI:stead://stead/gateway/gw1, URI:stead://stead/host/notes/a");
  expect(of("two/tls.pem").subjectAltName).toBe("URI:stead://stead/host/notes/b");
  for (const name of ["one", "two"]) {
    expect(of(`${name}/tls.pem`).verify(of("one/ca.pem").publicKey)).toBe(true);
    expect(statSync(join(folder, name, "tls.key")).mode & 0o777).toBe(0o600);
    const check = await runStead(["config", "check", `${name}/stead.toml`], { cwd: folder });
    expect([check.code, check.err]).toEqual([0, ""]);
  }
});

test("two secrets are never the same", async () => {
  await runStead(["init", "x"], { cwd: folder });
  await runStead(["init", "y"], { cwd: folder });
  const [x, y] = ["x", "y"].map((name) => readFileSync(join(folder, name, "stead.secret"), "utf8"));
  expect(x).not.toBe(y);
  expect(x?.trim().length).toBeGreaterThanOrEqual(43);
});

test("nothing is overwritten: an existing configuration makes it refuse, an existing secret is kept and used", async () => {
  const secret = "the-secret-of-the-first-server";
  writeFileSync(join(folder, "stead.secret"), secret, { mode: 0o600 });
  expect(await runStead(["init", "--role", "host"], { cwd: folder })).toMatchObject({
    code: 0,
    out: expect.stringContaining(`kept ${join(folder, "stead.secret")}\n`),
  });
  expect(readFileSync(join(folder, "stead.secret"), "utf8")).toBe(secret);
  expect(await runStead(["config", "check"], { cwd: folder })).toMatchObject({ code: 0, err: "" });
  rmSync(join(folder, "stead.secret"));
  writeFileSync(join(folder, "stead.toml"), "# mine");
  const run = await runStead(["init", "--vault", "vault", "--create-vault"], { cwd: folder });
  expect(run).toMatchObject({
    code: 7,
    err: expect.stringContaining("stead.toml exists already; nothing was written"),
  });
  expect(readFileSync(join(folder, "stead.toml"), "utf8")).toBe("# mine");
  expect(readdirSync(folder).toSorted()).toEqual(["stead.schema.json", "stead.toml"]);
});

test("only the host whose vault is created may bootstrap it", async () => {
  await runStead(["init", "one", "--vault", "vault", "--create-vault"], { cwd: folder });
  await runStead(["init", "two", "--role", "host", "--host", "b", "--vault", "vault"], { cwd: folder });
  const bootstraps = ["one", "two"].map(
    (name) => parsed(readFileSync(join(folder, name, "stead.toml"), "utf8")).host?.bootstrap,
  );
  expect(bootstraps).toEqual([true, false]);
});

test("a name that the configuration would refuse is refused before anything is written", async () => {
  expect(await runStead(["init", "--service", "No Tes"], { cwd: folder })).toMatchObject({
    code: 2,
    err: expect.stringContaining("service[0].name"),
  });
  expect(existsSync(join(folder, "stead.toml"))).toBe(false);
});

test("a folder that cannot be made is refused with exit code 7", async () => {
  writeFileSync(join(folder, "file"), "");
  expect(await runStead(["init", "file/below"], { cwd: folder })).toMatchObject({
    code: 7,
    err: expect.stringContaining("cannot be written"),
  });
});

test("a vault named from the working folder is the same folder in the file", async () => {
  await runStead(["init", "deep/er", "--vault", "here", "--create-vault"], { cwd: folder });
  const text = readFileSync(join(folder, "deep/er/stead.toml"), "utf8");
  expect(text).toContain('vault = "../../here"');
  expect(existsSync(join(folder, "here"))).toBe(true);
});

for (const role of ["gateway", "host", "both"] satisfies InitRole[]) {
  test(`the lines with defaults in the file for ${role} can be uncommented as they stand, and say what holds without them`, () => {
    const text = configTemplate({
      role,
      service: "app",
      hostId: "a",
      secretFile: "s",
      vault: "/mnt/vault",
      bootstrap: false,
    });
    const uncommented = text.replace(/^#(?=[a-z])/gm, "").replace(/^(?:match\.|env = |ready = ).*$/gm, "");
    const { gateway, host } = parsed(uncommented);
    const plain = parsed(text);
    expect({ gateway: gateway === undefined ? null : { ...gateway, services: [] }, host }).toEqual({
      gateway: plain.gateway === undefined ? null : { ...plain.gateway, services: [] },
      host: plain.host,
    });
    expect(gateway === undefined).toBe(role === "host");
    expect(host === undefined).toBe(role === "gateway");
  });
}

test("the file for both roles names every key of a configuration", () => {
  const values = { service: "app", hostId: "a", secretFile: "s", vault: "/mnt/vault", bootstrap: false };
  const text = configTemplate({ role: "both", ...values });
  const names = keyPaths(fileSchema).map((path) => path.split(".").at(-1) ?? "");
  expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
});

test("the examples that are no defaults can be uncommented too", () => {
  const text = configTemplate({
    role: "both",
    service: "app",
    hostId: "a",
    secretFile: "s",
    vault: "/mnt/vault",
    bootstrap: false,
  });
  const { host, services } = parsed(text.replace(/^#(?=[a-z])/gm, ""));
  expect(host?.application).toMatchObject({ env: { LOG_LEVEL: "info" }, readyPath: "/health" });
  expect(services[0]?.match).toEqual({ host: "app.example", path: "/" });
});

test("the databases of an existing data folder are found and their patterns written", async () => {
  for (const name of ["app.sqlite", "tenants/1.db", "tenants/2.db"]) {
    mkdirSync(join(folder, "files", "tenants"), { recursive: true });
    writeFileSync(join(folder, "files", name), "SQLite format 3\0");
  }
  writeFileSync(join(folder, "files", "notes.txt"), "x");
  expect(await runStead(["init", "conf", "--data", "files"], { cwd: folder })).toMatchObject({
    code: 0,
    out: expect.stringContaining('databases = ["*.sqlite","tenants/*.db"]'),
  });
  const { host } = parsed(readFileSync(join(folder, "conf", "stead.toml"), "utf8"));
  expect(host).toMatchObject({ databases: ["*.sqlite", "tenants/*.db"], dataFolder: "/etc/files" });
});

test("so are files beside the databases, also before the application has made one", async () => {
  for (const name of ["uploads", "secrets"]) mkdirSync(join(folder, "data", name), { recursive: true });
  writeFileSync(join(folder, "data/uploads/1.png"), "a picture");
  writeFileSync(join(folder, "data/secrets/session.key"), "a key");
  writeFileSync(join(folder, "data/debug.log"), "passing");
  const result = await runStead(["init", "--data", join(folder, "data")], { cwd: folder });
  expect(result).toMatchObject({ code: 0, out: expect.stringContaining("found files beside the databases") });
  const { host } = parsed(readFileSync(join(folder, "stead.toml"), "utf8"));
  expect(host).toMatchObject({ databases: ["*.db"], files: { patterns: ["secrets/**", "uploads/**"] } });
});

test("the application's command and this machine's address are in the file as given", async () => {
  const given = ["--command", `python3 -m "my app" --name='a b'`, "--address", "10.0.0.7"];
  expect(await runStead(["init", ...given], { cwd: folder })).toMatchObject({ code: 0, err: "" });
  const { host, gateway, services } = parsed(readFileSync(join(folder, "stead.toml"), "utf8"));
  expect(host?.application.command).toEqual(["python3", "-m", "my app", "--name=a b"]);
  expect([host?.controlUrl, host?.dataUrl, gateway?.adminUrl, services[0]?.hosts[0]?.controlUrl]).toEqual([
    "http://10.0.0.7:7701",
    "http://10.0.0.7:8001",
    "http://10.0.0.7:7700",
    "http://10.0.0.7:7701",
  ]);
  for (const wrong of [
    ["--command", "bun 'app.ts"],
    ["--command", " "],
    ["--address", "0.0.0.0"],
    ["--address", "web1"],
  ])
    expect((await runStead(["init", ...wrong], { cwd: join(folder, "..") })).code).toBe(2);
});
