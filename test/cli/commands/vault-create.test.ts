import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runStead } from "../../support/cli/run-cli.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-vault-create-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const create = (service: string, name = "vault") =>
  runStead(["vault", "create", name, "--service", service], { cwd: folder });

test("a vault is made once, and making it again for the same service changes nothing", async () => {
  expect(await create("notes")).toMatchObject({ code: 0, err: "" });
  const before = readdirSync(join(folder, "vault")).toSorted();
  expect(before).toContain("identity.json");
  expect(await create("notes")).toMatchObject({ code: 0, err: "" });
  expect(readdirSync(join(folder, "vault")).toSorted()).toEqual(before);
});

test("another service's vault, a folder with other things in it and a missing parent are refused with exit code 4", async () => {
  await create("notes");
  expect(await create("other")).toMatchObject({
    code: 4,
    err: expect.stringContaining('belongs to the service "notes"'),
  });
  writeFileSync(join(folder, "file"), "");
  expect(await create("notes", ".")).toMatchObject({ code: 4, err: expect.stringContaining("not empty") });
  expect(await create("notes", "no/parent")).toMatchObject({ code: 4, err: expect.stringContaining("\n  do: ") });
});

test("a name that no service can have is refused as a wrong command line", async () => {
  expect(await create("No tes")).toMatchObject({ code: 2, err: expect.stringContaining("lower-case") });
});
