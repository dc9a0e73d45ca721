import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "../../src/config/load.ts";
import type { ConfigResult } from "../../src/config/types.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-vault-key-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const key = "a-key-of-the-vault-0123456789";

function configure(lines: string, env: Readonly<Record<string, string>> = {}): ConfigResult {
  const host = `[host]\nid = "a"\nservice = "notes"\ncontrol = "127.0.0.1:1"\nlisten = "127.0.0.1:2"\ndata = "data"\ndatabases = ["*.db"]\nvault = "vault"\n${lines}\n[host.application]\ncommand = ["app"]\n[host.application.ready]\npath = "/"\n`;
  return parseConfig(join(folder, "stead.toml"), `[cluster]\nsecret = "a-secret-of-the-cluster"\n${host}`, { env });
}

const vaultKeyIn = (result: ConfigResult) =>
  result.kind === "ok" ? result.config.host?.vaultKey : expect.unreachable(JSON.stringify(result.problems));

test("without a setting the cluster's secret opens the vault", () => {
  expect(vaultKeyIn(configure(""))).toBeUndefined();
});

test("the key is a file's only line, a variable's value, or a program's matter", () => {
  writeFileSync(join(folder, "vault.key"), `${key}\n`, { mode: 0o600 });
  expect(vaultKeyIn(configure('vault_key_file = "vault.key"'))).toEqual({ kind: "key", key });
  expect(vaultKeyIn(configure("", { STEAD_VAULT_KEY: key }))).toEqual({ kind: "key", key });
  const command = ["keys", "get", "notes"];
  expect(vaultKeyIn(configure(`vault_key_command = ${JSON.stringify(command)}`))).toEqual({
    kind: "command",
    command: ["keys", "get", "notes"],
    folder,
  });
});

test.each([
  ['vault_key_file = "vault.key"', "vault_key_file", "cannot be read"],
  ['vault_key_file = "vault.key"\nvault_key_command = ["keys"]', "host", "2 sources"],
  ["vault_key_command = []", "vault_key_command", "no entry"],
])("what is wrong is refused by its name: %s", (lines, named, found) => {
  const result = configure(lines);
  const problem = result.kind === "invalid" ? result.problems[0] : undefined;
  expect(problem?.key).toContain(named);
  if (found !== "no entry") expect(problem?.found).toContain(found);
});

test("a key that is too short, or has a space, is refused without being shown", () => {
  for (const bad of ["short", "a key of the vault with spaces"]) {
    const result = configure("", { STEAD_VAULT_KEY: bad });
    expect(result.kind).toBe("invalid");
    expect(JSON.stringify(result)).not.toContain(bad);
  }
});
