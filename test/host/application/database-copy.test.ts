import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CopiedLinkError, copyDatabases, copyFiles } from "../../../src/host/application/database-copy.ts";

let folder: string;
let data: string;
let copy: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-copy-"));
  [data, copy] = [join(folder, "data"), join(folder, "copy")];
  for (const path of [join(data, "tenants"), copy]) mkdirSync(path, { recursive: true });
  writeFileSync(join(data, "notes.db"), large);
  writeFileSync(join(data, "tenants/a.db"), "a");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const large = Buffer.alloc(3_000_000, "content");
const names = ["notes.db", "tenants/a.db"];
const never = new AbortController().signal;
const copies = [
  ["databases", copyDatabases],
  ["files", copyFiles],
] as const;

test.each(copies)("%s are copied whole, into the folders that they are in", async (_, copyAll) => {
  await copyAll(names, data, copy, never);
  expect(readFileSync(join(copy, "notes.db")).equals(large)).toBe(true);
  expect(readFileSync(join(copy, "tenants/a.db"), "utf8")).toBe("a");
});

test.each(copies)("of %s that cannot be written the error of the disk is told", async (_, copyAll) => {
  writeFileSync(join(copy, "tenants"), "in the way");
  await expect(copyAll(names, data, copy, never)).rejects.toThrow(/EEXIST|ENOTDIR/);
});

test.each(copies)("no more %s are copied once it is given up", async (_, copyAll) => {
  await expect(copyAll(names, data, copy, AbortSignal.abort(new Error("given up")))).rejects.toThrow("given up");
  expect(readdirSync(copy)).toEqual([]);
});

test("of files no link is followed, neither in place of one nor on the way to it", async () => {
  mkdirSync(join(folder, "outside"));
  writeFileSync(join(folder, "outside/secret"), "a secret");
  symlinkSync(join(folder, "outside/secret"), join(data, "link"));
  symlinkSync(join(folder, "outside"), join(data, "way"));
  for (const path of ["link", "way/secret"])
    await expect(copyFiles([path], data, copy, never)).rejects.toBeInstanceOf(CopiedLinkError);
  expect(readdirSync(copy, { recursive: true }).map(String)).toEqual(["way"]);
});
