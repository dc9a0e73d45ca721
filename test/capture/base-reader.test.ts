import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { claimsOtherSize } from "../../src/capture/base-reader.ts";
import { Source } from "../../src/capture/source.ts";
import { Application, sourceOptions, temporaryFolder } from "../support/capture/pair.ts";

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

test("a file that a shorter database was copied over, while SQLite still has the size before, is not captured", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const path = join(root, "app.db");
  const other = join(folder.path, "other.db");
  await using application = new Application();
  await application.open("a", path);
  // All of its log is in the file, and the index still says how many pages there are.
  await application.run(
    "a",
    "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(20000)); PRAGMA wal_checkpoint(PASSIVE)",
  );
  const made = new DatabaseSync(other);
  made.exec("CREATE TABLE u(v); INSERT INTO u VALUES (randomblob(3000))");
  made.close();
  expect(spawnSync("cp", [other, path]).status).toBe(0);
  const opening = Source.open(sourceOptions(root, { limits: { attachWaitMsMax: 200 } }));
  await expect(opening).rejects.toMatchObject({ kind: "locked", database: "app.db" });
});
