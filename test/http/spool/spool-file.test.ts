import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openNameless, removeFile } from "../../../src/http/spool/spool-file.ts";

test("it has no name, and what was written is read back", async () => {
  const folder = mkdtempSync(join(tmpdir(), "stead-spool-file-"));
  const file = await openNameless(join(folder, "x"));
  expect(readdirSync(folder)).toEqual([]);
  await file.write(Buffer.from("cdef"), 2);
  await file.write(Buffer.from("ab"), 0);
  const bytes = Buffer.alloc(5);
  expect([await file.read(bytes, 1), bytes.toString()]).toEqual([true, "bcdef"]);
  expect(await file.read(bytes, 2)).toBe(false);
  await file.close();
  rmSync(folder, { recursive: true });
});

test("a file that exists is never taken for it, nor removed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "stead-spool-file-"));
  const path = join(folder, "x");
  writeFileSync(path, "mine");
  expect(await openNameless(path).catch((error: NodeJS.ErrnoException) => error.code)).toBe("EEXIST");
  expect(readdirSync(folder)).toEqual(["x"]);
  await removeFile(path);
  await removeFile(path);
  rmSync(folder, { recursive: true });
});
