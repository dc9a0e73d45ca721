import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "stead-vault-commands-"));
  await runStead(["init", "--service", "notes", "--vault", "vault", "--create-vault"], { cwd: folder });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const vault = (...args: string[]) => runStead(["vault", ...args], { cwd: folder });

test("the vault is named by its folder or by the configuration, and both are the same vault", async () => {
  const byFolder = await vault("ls", "vault", "--secret-file", "stead.secret", "--json");
  const byConfig = await vault("ls", "--json");
  expect(byFolder).toMatchObject({ code: 0, err: "" });
  expect(byConfig).toEqual(byFolder);
  expect(JSON.parse(byFolder.out)).toMatchObject({ identity: { service: "notes" } });
  expect(await vault("ls", "vault", "--config", "stead.toml")).toMatchObject({ code: 2 });
});

test("a folder that is no vault has exit code 4, a configuration without a host 3", async () => {
  expect(await vault("verify", ".")).toMatchObject({ code: 4, err: expect.stringContaining("not a vault") });
  await runStead(["init", "gw", "--role", "gateway"], { cwd: folder });
  expect(await vault("verify", "--config", "gw/stead.toml")).toMatchObject({
    code: 3,
    err: expect.stringContaining("no [host]"),
  });
});

test("clean-up of a folder needs to be told what has to stay, and removes nothing that is needed", async () => {
  expect(await vault("gc", "vault")).toMatchObject({ code: 2, err: expect.stringContaining("--keep 2 --window 1h") });
  expect(await vault("gc", "vault", "--keep", "0", "--window", "1h")).toMatchObject({ code: 2 });
  expect(await vault("gc", "--delete")).toMatchObject({ code: 5, out: expect.stringContaining("nothing is removed") });
});

test("restore: a new vault has nothing yet (4), two moments are refused (2), a time needs its zone (2)", async () => {
  expect(await vault("restore", "--to", "out")).toMatchObject({
    code: 4,
    err: expect.stringContaining("the vault is empty"),
  });
  expect(await vault("restore", "--to", "out", "--position", "1", "--time", "2026-03-01T12:00:00Z")).toMatchObject({
    code: 2,
    err: expect.stringContaining("leave one out"),
  });
  expect(await vault("restore", "--to", "out", "--time", "2026-03-01 12:00")).toMatchObject({
    code: 2,
    err: expect.stringContaining("with its zone"),
  });
});
