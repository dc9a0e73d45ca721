/** A database that gets another name, or another file under its name: in no moment is it nowhere in the journal. */
import { expect, spyOn, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DatabaseFiles } from "../../../src/capture/database-files.ts";
import { Source } from "../../../src/capture/source.ts";
import { verifyHandoff } from "../../../src/host/primary/verify-handoff.ts";
import { Application, Pair, sourceOptions } from "../../support/capture/pair.ts";
import { begin, refusal, refusedAtTheGate } from "./parts.ts";
import { PythonApplication } from "./python-application.ts";

async function beginWithTwo() {
  const it = await begin();
  const application = new Application();
  for (const name of ["a", "b"]) {
    await application.open(name, join(it.root, `${name}.db`));
    await application.run(name, `PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES ('${name}')`);
  }
  const pair = await Pair.open(it.folder);
  await application.close("a");
  await application.close("b");
  const copied = async (name: string): Promise<unknown[]> => {
    const looked = join(it.folder, `looked-${Math.random()}.db`);
    copyFileSync(join(pair.copy, name), looked);
    await application.open(looked, looked);
    return (await application.run(looked, "SELECT v FROM t")).map(({ v }) => v);
  };
  return {
    ...it,
    pair,
    copied,
    isCopied: (name: string) => existsSync(join(pair.copy, name)),
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      await it[Symbol.asyncDispose]();
    },
  };
}

test("a database that is renamed keeps its old name in the journal until it is captured under the new one", async () => {
  await using it = await beginWithTwo();
  renameSync(join(it.root, "a.db"), join(it.root, "c.db"));
  let looks = 0;
  for (; it.pair.source.isAhead(); looks++) {
    await it.pair.sync();
    expect(it.isCopied("a.db") || it.isCopied("c.db")).toBe(true);
    expect(it.pair.source.isAhead() && it.pair.source.uncaptured().length === 0).toBe(false);
  }
  expect(looks).toBeGreaterThan(1);
  expect(await it.copied("c.db")).toEqual(["a"]);
  expect(it.isCopied("a.db")).toBe(false);
});

test("a database that is renamed over another one replaces it in one step", async () => {
  await using it = await beginWithTwo();
  renameSync(join(it.root, "a.db"), join(it.root, "b.db"));
  while (it.pair.source.isAhead()) {
    await it.pair.sync();
    const [a, b] = [it.isCopied("a.db") ? await it.copied("a.db") : [], await it.copied("b.db")];
    expect([...a, ...b]).toContain("a");
  }
  expect(await it.copied("b.db")).toEqual(["a"]);
  expect(it.isCopied("a.db")).toBe(false);
});

test("a snapshot that is taken meanwhile is marked as unfit for a checkpoint", async () => {
  await using it = await beginWithTwo();
  renameSync(join(it.root, "a.db"), join(it.root, "c.db"));
  const { batch, snapshot } = await it.pair.source.beginSnapshot();
  await it.pair.applyBatch(batch);
  expect(snapshot.leavesOut).toBe(true);
  await snapshot.release();
  await it.pair.settle();
  const later = await it.pair.source.beginSnapshot();
  expect([later.snapshot.leavesOut, later.snapshot.databases.map(({ name }) => name)]).toEqual([
    false,
    ["b.db", "c.db"],
  ]);
  await later.snapshot.release();
});

test("a commit into a file that was replaced while it is open is never acknowledged, whatever becomes of the other file", async () => {
  await using it = await beginWithTwo();
  await it.application.open("a", join(it.root, "a.db"));
  await it.application.run("a", "INSERT INTO t VALUES ('before')");
  await it.pair.settle();
  renameSync(join(it.root, "b.db"), join(it.root, "a.db"));
  await it.pair.sync();
  expect(it.pair.source.uncaptured().map(({ name }) => name)).toContain("a.db");
  await it.application.run("a", "INSERT INTO t VALUES ('after')");
  await expect(
    (async () => {
      await it.pair.sync();
      renameSync(join(it.root, "a.db"), join(it.folder, "elsewhere"));
      await it.pair.settle();
    })(),
  ).rejects.toThrow("commits into a database whose file was already deleted");
});

test("a file in rollback mode beside a log is captured as SQLite reads it, and the next host can begin with it", async () => {
  await using it = await begin();
  const made = join(it.folder, "made.db");
  await it.application.open("made", made);
  await it.application.run("made", "CREATE TABLE t(v); INSERT INTO t VALUES (1)");
  await it.application.close("made");
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); PRAGMA wal_checkpoint(PASSIVE)");
  // Its log stays, and is not read any more: all of it is in the file before.
  renameSync(made, it.path);
  await using pair = await Pair.open(it.folder);
  expect(readFileSync(join(pair.copy, "app.db")).subarray(18, 20)).toEqual(Buffer.from([1, 1]));
  const known = pair.replica.handOver();
  await pair.replica.close();
  const next = await verifyHandoff(await Source.open({ ...sourceOptions(pair.copy), known }), known);
  expect(next.isAhead()).toBe(true);
  while (next.isAhead()) (await next.collect())?.done();
  expect(next.checksums()).not.toEqual(new Map([...known].map(([name, pages]) => [name, pages.checksum()])));
  await next.close();
});

test("a new file under the name of a database that was renamed over an open one waits: what was acknowledged stays in the journal", async () => {
  await using it = await beginWithTwo();
  const application = new Application();
  try {
    await application.open("holder", join(it.root, "b.db"));
    await application.run("holder", "SELECT v FROM t");
    renameSync(join(it.root, "a.db"), join(it.root, "b.db"));
    await it.pair.sync(); // The log of the old file goes.
    await application.open("new", join(it.root, "a.db"));
    await application.run("new", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES ('new')");
    await application.close("new");
    // For longer than a file has to be still before it is captured.
    for (let looks = 0; looks < 100; looks++) {
      await it.pair.sync();
      await Bun.sleep(10);
      expect(
        it.pair.source
          .uncaptured()
          .map(({ name }) => name)
          .toSorted(),
      ).toEqual(["a.db", "b.db"]);
      expect(await it.copied("a.db")).toEqual(["a"]);
    }
    await application.close("holder");
    await it.pair.settle();
    expect([await it.copied("a.db"), await it.copied("b.db")]).toEqual([["new"], ["a"]]);
  } finally {
    await application.kill();
  }
});

test("a snapshot while a database is displaced opens nothing of the other file, and ends nothing", async () => {
  await using it = await beginWithTwo();
  await it.application.open("holder", join(it.root, "b.db"));
  await it.application.run("holder", "SELECT v FROM t");
  renameSync(join(it.root, "a.db"), join(it.root, "b.db"));
  for (let round = 0; round < 3; round++) {
    const { batch, snapshot } = await it.pair.source.beginSnapshot();
    await it.pair.applyBatch(batch);
    expect([snapshot.leavesOut, snapshot.databases.length]).toEqual([true, 0]);
    await snapshot.release();
  }
  await it.application.close("holder");
  await it.pair.settle();
  expect(await it.copied("b.db")).toEqual(["a"]);
});

test("a database that is deleted and made again in the moment in which a snapshot begins to read it is left out of that one, and ends nothing", async () => {
  await using it = await beginWithTwo();
  await it.application.open("made", join(it.folder, "made.db"));
  await it.application.run("made", "CREATE TABLE t(v); INSERT INTO t VALUES ('new')");
  await it.application.close("made");
  const { snapshotReader } = DatabaseFiles.prototype;
  using replacing = spyOn(DatabaseFiles.prototype, "snapshotReader").mockImplementationOnce(function (
    this: DatabaseFiles,
  ) {
    for (const suffix of ["-wal", "-shm"]) rmSync(join(it.root, `a.db${suffix}`));
    renameSync(join(it.folder, "made.db"), join(it.root, "a.db"));
    return snapshotReader.call(this);
  });
  const { batch, snapshot } = await it.pair.source.beginSnapshot();
  await it.pair.applyBatch(batch);
  expect(replacing.mock.calls.length).toBeGreaterThan(0);
  // A collection that begins again, as on a busy machine, may have captured the new one before the snapshot is taken.
  if (!snapshot.leavesOut) expect(await it.copied("a.db")).toEqual(["new"]);
  await snapshot.release();
  await it.pair.settle();
  const later = await it.pair.source.beginSnapshot();
  expect([later.snapshot.leavesOut, await it.copied("a.db")]).toEqual([false, ["new"]]);
  await later.snapshot.release();
});

for (const looks of ["before", "after"]) {
  test(`a commit between a rename to a name of no database and the last close is refused, first seen ${looks} the close`, async () => {
    await using it = await beginWithTwo();
    await it.application.open("a", join(it.root, "a.db"));
    await it.application.run("a", "SELECT * FROM t");
    renameSync(join(it.root, "a.db"), join(it.root, "a.bak"));
    await Bun.sleep(30); // The stamps of the rename and of the commit are those of different timer ticks.
    await it.application.run("a", "INSERT INTO t VALUES ('after')");
    if (looks === "before") await it.pair.sync();
    await it.application.close("a");
    expect((await refusedAtTheGate(it.pair)).found).toContain("after its file was renamed");
    expect(await it.copied("a.db")).toEqual(["a"]);
  });
}

test("a commit between a rename to another captured name and the last close is captured under that name", async () => {
  await using it = await beginWithTwo();
  await it.application.open("a", join(it.root, "a.db"));
  await it.application.run("a", "SELECT * FROM t");
  renameSync(join(it.root, "a.db"), join(it.root, "c.db"));
  await it.application.run("a", "INSERT INTO t VALUES ('after')");
  await it.pair.sync();
  expect(await it.copied("a.db")).toEqual(["a"]);
  await it.application.close("a");
  await it.pair.settle();
  expect([await it.copied("c.db"), it.isCopied("a.db")]).toEqual([["a", "after"], false]);
});

test("an open database whose name another file took is captured again when it comes back, if nothing was committed meanwhile", async () => {
  await using it = await beginWithTwo();
  const path = join(it.root, "a.db");
  await it.application.open("a", path);
  await it.application.run("a", "SELECT * FROM t");
  renameSync(path, join(it.root, "a.bak"));
  copyFileSync(join(it.root, "b.db"), path);
  await it.pair.sync();
  expect(it.pair.source.uncaptured().map(({ name }) => name)).toEqual(["a.db"]);
  renameSync(join(it.root, "a.bak"), path);
  await it.pair.settle();
  await it.application.run("a", "INSERT INTO t VALUES ('after')");
  await it.pair.settle();
  expect(await it.copied("a.db")).toEqual(["a", "after"]);
});

for (const outcome of ["is closed", "comes back"]) {
  test(`commits into a new file at the name of an open database never replace what the journal has of that one, which then ${outcome}`, async () => {
    await using it = await begin();
    const [target, link] = [join(it.root, "target"), join(it.root, "a.db")];
    await it.application.open("holder", target);
    await it.application.run("holder", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES ('old')");
    symlinkSync("target", link);
    await using pair = await Pair.open(it.folder);
    await using other = new Application();
    const copied = async (): Promise<unknown> => {
      const looked = join(it.folder, `looked-${Math.random()}`);
      copyFileSync(join(pair.copy, "a.db"), looked);
      await other.open(looked, looked);
      return (await other.run(looked, "SELECT v FROM t"))[0];
    };
    await it.application.run("holder", "PRAGMA wal_checkpoint(PASSIVE)");
    renameSync(target, join(it.root, "d.db"));
    await pair.sync();
    // Through the link, which leads nowhere: SQLite creates a file, and finds the log that is beside it.
    await other.open("new", link);
    await other.run("new", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES ('new')");
    for (let looks = 0; looks < 10; looks++) {
      expect(pair.source.isAhead()).toBe(true);
      await pair.sync();
      expect(await copied()).toEqual({ v: "old" });
    }
    if (outcome === "is closed") await it.application.kill();
    else renameSync(join(it.root, "d.db"), target);
    const error = await refusal(async () => {
      while (pair.source.isAhead()) await pair.sync();
    });
    expect(error.database).toBe("a.db");
    expect(await copied()).toEqual({ v: "old" });
  });
}

test("a database that is renamed after it was closed, and a new one that is made and closed under its name before a look, are both captured", async () => {
  await using it = await beginWithTwo();
  await it.application.open("a", join(it.root, "a.db"));
  await it.pair.serveUntil(it.application.run("a", "PRAGMA wal_checkpoint(TRUNCATE)"));
  await it.pair.settle();
  await it.application.close("a");
  await it.pair.settle();
  renameSync(join(it.root, "a.db"), join(it.root, "c.db"));
  await it.application.open("new", join(it.root, "a.db"));
  await it.application.run("new", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES ('new')");
  await it.application.close("new");
  await it.pair.settle();
  expect([await it.copied("a.db"), await it.copied("c.db")]).toEqual([["new"], ["a"]]);
});

test("a new file is not captured while a deleted one of its name is open in rollback mode: its connection would write into the new log", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder);
  await it.application.open("former", it.path);
  await it.application.run("former", "CREATE TABLE t(v); BEGIN EXCLUSIVE");
  while (pair.source.uncaptured().length === 0) await pair.source.collect();
  rmSync(it.path);
  await it.application.run("former", "ROLLBACK");
  await pair.settle();
  await using other = new PythonApplication();
  const built = join(it.folder, "built");
  await other.open("new", built);
  await other.run("new", "CREATE TABLE t(v); INSERT INTO t VALUES ('new')");
  await other.close("new");
  renameSync(built, it.path);
  const reason = (): string => pair.source.uncaptured()[0]?.reason ?? "";
  while (!reason().includes("rollback mode")) await pair.source.collect();
  expect(reason()).toContain(`${it.application.pid} (python3)`);
  // Nothing opens a log that it could take for its own.
  expect(existsSync(`${it.path}-wal`)).toBe(false);
  await it.application.close("former");
  await pair.settle();
  using copy = new DatabaseSync(join(pair.copy, "app.db"), { readOnly: true });
  expect(copy.prepare("SELECT v FROM t").all()).toEqual([{ v: "new" }]);
});
