import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../../support/capture/pair.ts";

test("a database without room to fold its log into it is closed all the same, and keeps its log", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const database = new DatabaseSync(path);
  database.exec(
    "PRAGMA journal_mode=WAL; CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(1000000)); PRAGMA wal_checkpoint(TRUNCATE)",
  );
  database.close();
  // No file may become longer than the database is now: what a full disk says, without root and a disk.
  const blocks = Math.ceil(statSync(path).size / 512);
  const limited = `trap "" XFSZ; ulimit -f ${blocks}; exec "$@"`;
  const { stdout, stderr } = spawnSync(
    "sh",
    ["-c", limited, "sh", process.execPath, join(import.meta.dirname, "full-disk-main.ts"), folder.path],
    { encoding: "utf8" },
  );
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({
    captured: true,
    ahead: false,
    warnings: [
      expect.stringMatching(/^app\.db: the write-ahead log could not be checkpointed into the database: .*disk/),
    ],
  });
  const after = new DatabaseSync(path);
  expect(after.prepare("SELECT length(x) AS bytes FROM t ORDER BY rowid").all()).toEqual([
    { bytes: 1_000_000 },
    { bytes: 40_000 },
  ]);
  after.close();
});
