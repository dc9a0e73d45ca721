/** Commits of writers without locks while another process has the writer's lock: they look like its own, unfinished. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { Pair } from "../../support/capture/pair.ts";
import { begin, refusedAtTheGate, until } from "./parts.ts";
import { PythonApplication } from "./python-application.ts";

/** A captured database: `application` has the writer's lock, `other` no locks and its own idea of the log. */
async function beginTransaction() {
  const it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
  const pair = await Pair.open(it.folder);
  const other = new PythonApplication();
  await other.open("b", it.path, "?vfs=unix-none");
  await other.run("b", "PRAGMA locking_mode=EXCLUSIVE; SELECT * FROM t");
  await it.application.run("a", "BEGIN IMMEDIATE");
  return {
    ...it,
    pair,
    other,
    async [Symbol.asyncDispose]() {
      await other.kill();
      await pair[Symbol.asyncDispose]();
      await it[Symbol.asyncDispose]();
    },
  };
}

test("a commit that is in the log alone is unfinished for as long as another process has the writer's lock, then refused", async () => {
  await using it = await beginTransaction();
  await it.other.run("b", "INSERT INTO t VALUES (1)");
  expect(it.pair.source.isAhead()).toBe(false);
  const [commit] = it.pair.source.unfinished();
  expect(commit?.isSettled).toBe(false);
  expect(await it.pair.sync()).toBe(0);
  expect(commit?.isSettled).toBe(false);
  await it.application.run("a", "ROLLBACK");
  // The lock was seen a moment ago.
  await until(() => Promise.resolve(it.pair.source.isAhead()));
  const error = await refusedAtTheGate(it.pair);
  expect([error.kind, commit?.isSettled]).toEqual(["uncoordinated", false]);
  expect(error.found).toContain(`${it.other.pid} (python3`);
});

test("a commit that the owner of the writer's lock overwrites is refused", async () => {
  await using it = await beginTransaction();
  await it.other.run("b", "INSERT INTO t VALUES (1)");
  expect(it.pair.source.isAhead()).toBe(false);
  const [commit] = it.pair.source.unfinished();
  await it.application.run("a", "INSERT INTO t VALUES (2); COMMIT");
  const { found } = await refusedAtTheGate(it.pair);
  expect(found).toContain(`overwritten since, by ${it.other.pid} (python3`);
  expect(commit?.isSettled).toBe(false);
});

test("frames of a transaction in progress are no unfinished commit, and those behind many are found", async () => {
  await using it = await beginTransaction();
  const many =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) INSERT INTO t SELECT randomblob(3000) FROM n";
  await it.application.run("a", `PRAGMA cache_size=5; ${many}`);
  while (it.pair.source.isAhead()) expect(await it.pair.sync()).toBe(0);
  expect(it.pair.source.unfinished()).toEqual([]);
  // Over the frames of the transaction.
  await it.other.run("b", "INSERT INTO t VALUES (1)");
  expect(it.pair.source.isAhead()).toBe(false);
  expect(it.pair.source.unfinished()).toHaveLength(1);
});

/** Appends a commit to the log, and nothing to the index. */
function appendWithoutIndex(path: string): void {
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "append-frames.ts"), path]);
  if (status !== 0) throw new Error(stderr.toString());
}

/** Makes the index name the log's commits up to a length: the header is the one that a recovery of it writes. */
function moveIndex(folder: string, path: string, logBytes = Infinity): void {
  const copy = mkdtempSync(join(folder, "recovered-"));
  for (const end of ["", "-wal"]) copyFileSync(`${path}${end}`, join(copy, `app.db${end}`));
  if (logBytes < Infinity) truncateSync(join(copy, "app.db-wal"), logBytes);
  using database = new Database(join(copy, "app.db"));
  database.query("SELECT count(*) FROM t").all();
  const header = readFileSync(join(copy, "app.db-shm")).subarray(0, 96);
  const fd = openSync(`${path}-shm`, "r+");
  writeSync(fd, header, 0, header.byteLength, 0);
  closeSync(fd);
}

test("a commit that the index gets while its writer has the lock is settled at once, and collected", async () => {
  await using it = await beginTransaction();
  appendWithoutIndex(it.path);
  expect(it.pair.source.isAhead()).toBe(false);
  const [commit] = it.pair.source.unfinished();
  expect(commit?.isSettled).toBe(false);
  moveIndex(it.folder, it.path);
  expect([commit?.isSettled, it.pair.source.unfinished(), it.pair.source.isAhead()]).toEqual([true, [], true]);
  await it.pair.sync();
  expect(it.pair.source.isAhead()).toBe(false);
});

test("of two commits in a row, the second of which the index gets later, none is taken for an overwritten one", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
  let onSleep = (): void => undefined;
  const sleep: Clock["sleep"] = (ms, signal) => {
    onSleep();
    return systemClock.sleep(ms, signal);
  };
  await using pair = await Pair.open(it.folder, { clock: { ...systemClock, sleep } });
  appendWithoutIndex(it.path);
  const firstEnds = statSync(`${it.path}-wal`).size;
  appendWithoutIndex(it.path);
  // As a busy machine has it: between two looks of the examination.
  onSleep = () => {
    onSleep = () => undefined;
    moveIndex(it.folder, it.path, firstEnds);
  };
  expect(pair.source.isAhead()).toBe(true);
  await pair.sync();
  expect(pair.source.unfinished()).toEqual([]);
  moveIndex(it.folder, it.path);
  await pair.sync();
  expect(pair.source.isAhead()).toBe(false);
});
