/** Writers that commit where the WAL index does not tell: none of their commits may be acknowledged and lost. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Application, Pair } from "../../support/capture/pair.ts";
import { begin, refusedAtTheGate } from "./parts.ts";
import { PythonApplication } from "./python-application.ts";

const withoutLocks = ["?vfs=unix-none", "?vfs=unix-dotfile"];

for (const query of withoutLocks) {
  test(`commits in exclusive mode with ${query} on a captured database are refused, before the first is acknowledged`, async () => {
    await using it = await begin();
    await using other = new PythonApplication();
    await other.open("b", it.path);
    await other.run("b", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
    await using pair = await Pair.open(it.folder);
    expect(pair.source.isAhead()).toBe(false);
    await it.application.open("a", it.path, query);
    await it.application.run("a", "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; INSERT INTO t VALUES (1)");
    const error = await refusedAtTheGate(pair);
    expect([error.kind, error.database]).toEqual(["uncoordinated", "app.db"]);
    expect(error.found).toContain(`${it.application.pid} (python3`);
    expect(error.advice).toContain("nolock=1");
  });

  test(`a database that is created in exclusive mode with ${query} is captured whole, or refused: no commit is missed`, async () => {
    await using it = await begin();
    await using pair = await Pair.open(it.folder);
    await it.application.open("a", it.path, query);
    await it.application.run("a", "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
    expect(pair.source.isAhead()).toBe(true);
    await pair.settle();
    await it.application.run("a", "INSERT INTO t VALUES (1)");
    expect((await refusedAtTheGate(pair)).kind).toBe("uncoordinated");
  });
}

test("a connection with nolock=1, which knows no log, writes into the file of a database that it created: refused", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder);
  await it.application.open("a", it.path, "?nolock=1");
  await it.application.run("a", "PRAGMA locking_mode=EXCLUSIVE; CREATE TABLE t(v)");
  expect(pair.source.isAhead()).toBe(true);
  await pair.settle();
  await it.application.run("a", "INSERT INTO t VALUES (1)");
  expect((await refusedAtTheGate(pair)).found).toContain("without a log");
});

test("a transaction with nolock=1 is not undone by this host, however long it pauses", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder);
  await it.application.open("a", it.path, "?nolock=1");
  await it.application.run(
    "a",
    "CREATE TABLE t(v); PRAGMA cache_size=2; BEGIN; INSERT INTO t VALUES (randomblob(90000))",
  );
  const until = Date.now() + 600;
  // Twice as long as a file must be still that a process has open.
  while (Date.now() < until) await pair.source.collect();
  await it.application.run("a", "COMMIT");
  await pair.settle();
  using copy = new DatabaseSync(join(pair.copy, "app.db"), { readOnly: true });
  const found = copy.prepare(
    "SELECT length(v) AS bytes, (SELECT integrity_check FROM pragma_integrity_check) AS said FROM t",
  );
  expect(found.all()).toEqual([{ bytes: 90_000, said: "ok" }]);
});

test("a log that a writer without locks starts over on captured frames is refused", async () => {
  await using it = await begin();
  await it.application.open("a", it.path, "?vfs=unix-none");
  await it.application.run(
    "a",
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)",
  );
  await using pair = await Pair.open(it.folder);
  expect(pair.source.isAhead()).toBe(false);
  await it.application.run("a", "PRAGMA wal_checkpoint(PASSIVE); INSERT INTO t VALUES (1)");
  const error = await refusedAtTheGate(pair);
  expect(["uncoordinated", "continuity"]).toContain(error.kind);
});

test("frames that a writer without locks writes over captured ones, where it believes the log to end, are refused before they are acknowledged", async () => {
  await using it = await begin();
  await using other = new PythonApplication();
  await using pair = await Pair.open(it.folder);
  await other.open("b", it.path, "?vfs=unix-none");
  await other.run("b", "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await pair.settle();
  await it.application.open("a", it.path);
  for (const v of [1, 2, 3]) await it.application.run("a", `INSERT INTO t VALUES (${v})`);
  await pair.settle();
  await other.run("b", "INSERT INTO t VALUES (4)");
  expect((await refusedAtTheGate(pair)).found).toContain("overwritten");
});

test("a log whose time stamps change and whose content does not is no fault", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
  await using pair = await Pair.open(it.folder);
  await pair.settle();
  expect(pair.source.isAhead()).toBe(false);
  utimesSync(`${it.path}-wal`, new Date(), new Date());
  expect(pair.source.isAhead()).toBe(true);
  expect(await pair.sync()).toBe(0);
  expect(pair.source.isAhead()).toBe(false);
});

/** Appends a transaction as an engine does that coordinates by files of its own; the index stays as it is. */
function appendWithoutIndex(path: string): void {
  const script = join(import.meta.dirname, "append-frames.ts");
  const { status, stderr } = spawnSync(process.execPath, [script, path]);
  if (status !== 0) throw new Error(stderr.toString());
}

/** Opens the pair beside a process that uses the index and is then killed. */
async function openBesideUserThatEnds(folder: string, path: string): Promise<Pair> {
  await using application = new PythonApplication();
  await application.open("ends", path);
  await application.run("ends", "SELECT * FROM t");
  const pair = await Pair.open(folder);
  await pair.source.tick();
  await application.kill();
  return pair;
}

test("frames behind the end of the index are an unfinished commit if a user of the index has ended, and are overwritten", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
  await using pair = await openBesideUserThatEnds(it.folder, it.path);
  appendWithoutIndex(it.path);
  expect(pair.source.isAhead()).toBe(true);
  while (pair.source.isAhead()) await pair.sync();
  expect(pair.warnings.join()).toContain("in the middle of a commit");
  // The next commit overwrites it.
  await it.application.run("a", "INSERT INTO t VALUES (1)");
  await pair.sync();
  expect(pair.source.isAhead()).toBe(false);
});

test("frames of a writer without the index that has ended are refused if every user of the index is still there", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
  await using pair = await Pair.open(it.folder);
  await pair.source.tick();
  appendWithoutIndex(it.path);
  // No process is named that did it.
  expect((await refusedAtTheGate(pair)).found).toMatch(/^app\.db: commits in its write-ahead log .* does not have$/);
});

test("a commit of a writer without the index is refused if that writer was there when its response came, though it is killed with a user of the index before the look", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
  await using ends = new PythonApplication();
  await using stranger = new PythonApplication();
  await ends.open("ends", it.path);
  await ends.run("ends", "SELECT * FROM t");
  await using pair = await Pair.open(it.folder);
  await pair.source.tick();
  await stranger.open("stranger", it.path, "?vfs=unix-none");
  await stranger.run("stranger", "PRAGMA locking_mode=EXCLUSIVE; INSERT INTO t VALUES (1)");
  expect(pair.source.isAhead()).toBe(true);
  const { pid } = stranger;
  await Promise.all([stranger.kill(), ends.kill()]);
  const error = await refusedAtTheGate(pair);
  expect([error.kind, error.found.includes(String(pid))]).toEqual(["uncoordinated", true]);
});

test("a second commit behind an unexplained one is refused", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
  await using pair = await openBesideUserThatEnds(it.folder, it.path);
  appendWithoutIndex(it.path);
  while (pair.source.isAhead()) await pair.sync();
  appendWithoutIndex(it.path);
  expect((await refusedAtTheGate(pair)).kind).toBe("uncoordinated");
});

test("a transaction that spilled, its rollback and what it leaves in the log are no fault", async () => {
  await using it = await begin();
  await using application = new Application();
  await application.open("a", it.path);
  await application.run(
    "a",
    "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0); PRAGMA cache_size=5",
  );
  await using pair = await Pair.open(it.folder);
  const many =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200) INSERT INTO t SELECT randomblob(3000) FROM n";
  await application.run("a", `BEGIN; ${many}`);
  expect(pair.source.isAhead()).toBe(false);
  await application.run("a", "ROLLBACK");
  while (pair.source.isAhead()) expect(await pair.sync()).toBe(0);
  await application.run("a", "INSERT INTO t VALUES (1)");
  await pair.sync();
  expect(pair.source.isAhead()).toBe(false);
  expect(pair.copyHash("app.db")).toBe((await application.image("a")).sha256);
});

for (const [state, checkpoint] of [
  ["an empty", "PRAGMA wal_checkpoint(PASSIVE)"],
  ["a filled", "SELECT 1"],
] as const) {
  test(`a backup that is copied over the database file in place beside ${state} log is refused before anything that follows leaves`, async () => {
    await using it = await begin();
    await it.application.open("a", it.path);
    await it.application.run(
      "a",
      "PRAGMA journal_mode=WAL; CREATE TABLE t(v); CREATE TABLE big(v); INSERT INTO big VALUES (randomblob(20000)); PRAGMA wal_checkpoint(TRUNCATE)",
    );
    const backup = join(it.folder, "backup.db");
    copyFileSync(it.path, backup);
    await it.application.run("a", "UPDATE big SET v = randomblob(20000)");
    await it.application.close("a");
    await using pair = await Pair.open(it.folder);
    await it.application.open("a", it.path);
    await it.application.run("a", "INSERT INTO t VALUES (1)");
    await pair.sync();
    await it.application.run("a", checkpoint);
    while (pair.source.isAhead()) await pair.sync();
    spawnSync("cp", [backup, it.path]);
    const error = await refusedAtTheGate(pair);
    expect(error.kind).toBe("continuity");
    expect(error.found).toContain("without a log");
    expect(error.accepted).toContain(".restore");
  });
}

test("a file whose time stamps change and whose content does not is no fault", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run(
    "a",
    "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0); PRAGMA wal_checkpoint(TRUNCATE)",
  );
  await using pair = await Pair.open(it.folder);
  expect(pair.source.isAhead()).toBe(false);
  utimesSync(it.path, new Date(), new Date());
  expect(pair.source.isAhead()).toBe(true);
  expect(await pair.sync()).toBe(0);
  expect(pair.source.isAhead()).toBe(false);
});

test("checkpoints of the application in all modes are no fault", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); PRAGMA busy_timeout=0");
  await using pair = await Pair.open(it.folder);
  for (const mode of ["PASSIVE", "FULL", "RESTART", "TRUNCATE", "PASSIVE", "RESTART"]) {
    for (let i = 0; i < 3; i++) {
      await it.application.run("a", `INSERT INTO t VALUES (randomblob(5000)); PRAGMA wal_checkpoint(${mode})`);
      await pair.sync();
      await pair.source.tick();
      await it.application.run("a", `PRAGMA wal_checkpoint(${mode})`);
      await pair.sync();
      expect(pair.source.isAhead()).toBe(false);
    }
  }
  expect(readFileSync(it.path).byteLength).toBeGreaterThan(0);
  expect(pair.warnings.filter((text) => !text.includes("written by SQLite"))).toEqual([]);
});
