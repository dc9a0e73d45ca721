import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { claimsOtherSize } from "../../src/capture/base-reader.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

test("a header with another size than SQLite's is that of another file; one of a writer that does not maintain the size states none", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(20000))");
  database.close();
  const content = readFileSync(path);
  const pages = content.byteLength / 4096;
  expect(claimsOtherSize(content, pages, pages)).toBe(false);
  expect(claimsOtherSize(content, 1, pages)).toBe(true);
  expect(claimsOtherSize(content, pages + 1, pages)).toBe(true);
  // A file with a rest behind the pages that its header states has them all.
  expect(claimsOtherSize(content, pages + 1, pages + 1)).toBe(false);
  // Before SQLite 3.7.0 the counter at 92 was not kept.
  content.writeUInt32BE(0, 92);
  expect(claimsOtherSize(content, 1, pages)).toBe(false);
});
