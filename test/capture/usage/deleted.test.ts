/** A deleted database that a process without SQLite's locks has open: commits into nothing are never acknowledged. */
import { expect, test } from "bun:test";
import { readdirSync, readlinkSync, rmSync } from "node:fs";
import { Pair } from "../../support/capture/pair.ts";
import { begin, refusedAtTheGate, until } from "./parts.ts";
import { PythonApplication } from "./python-application.ts";

const removals = { "its file": [""], "its file and its log": ["", "-wal", "-shm"] } as const;
const withoutLocks = ["?vfs=unix-none", "?vfs=unix-dotfile", "?nolock=1"];

/** A captured database that a connection without locks made and has open. */
async function beginWithoutLocks(query: string) {
  const it = await begin();
  const pair = await Pair.open(it.folder);
  await it.application.open("a", it.path, query);
  await it.application.run("a", "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await pair.settle();
  expect(pair.source.names()).toEqual(["app.db"]);
  return {
    ...it,
    pair,
    async [Symbol.asyncDispose]() {
      await pair.close();
      await it[Symbol.asyncDispose]();
    },
  };
}

const isOpenHere = (path: string): boolean =>
  readdirSync("/proc/self/fd").some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false;
    }
  });

for (const query of withoutLocks) {
  for (const [what, suffixes] of Object.entries(removals)) {
    test(`a commit with ${query} into a database of which ${what} was removed is refused before it is acknowledged`, async () => {
      await using it = await beginWithoutLocks(query);
      for (const suffix of suffixes) rmSync(it.path + suffix, { force: true });
      await it.pair.settle();
      expect(it.pair.source.names()).toEqual([]);
      await it.application.run("a", "INSERT INTO t VALUES (1)");
      const error = await refusedAtTheGate(it.pair);
      expect([error.kind, error.database]).toEqual(["replaced", "app.db"]);
      expect(error.found).toContain(`already deleted, by ${it.application.pid} (python3`);
    });
  }

  test(`a commit with ${query} between the deletion and the first look at it is refused, also if its process has ended`, async () => {
    await using it = await beginWithoutLocks(query);
    rmSync(it.path);
    await Bun.sleep(30); // The stamps of the deletion and of the commit are those of different timer ticks.
    await it.application.run("a", "INSERT INTO t VALUES (1)");
    await it.application.kill();
    expect((await refusedAtTheGate(it.pair)).found).toContain("already deleted");
  });

  test(`a connection with ${query} that does not write holds nothing up, and the file is closed when it ends`, async () => {
    await using it = await beginWithoutLocks(query);
    rmSync(it.path);
    await it.pair.settle();
    await using other = new PythonApplication();
    await other.open("b", it.path.replace("app.db", "other.db"));
    await other.run("b", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
    await it.pair.settle();
    expect(it.pair.source.names()).toEqual(["other.db"]);
    expect(isOpenHere(it.path)).toBe(true);
    await it.application.kill();
    await until(async () => {
      await it.pair.source.tick();
      return !isOpenHere(it.path);
    });
    await it.pair.settle();
  });
}

test("a file that is overwritten and then deleted by a program that has ended is a deletion", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)");
  await it.application.close("a");
  await using pair = await Pair.open(it.folder);
  // Stamps within one timer tick do not show the order, and then the overwriting counts as later: refused.
  const program = `shred "$1" && sleep 0.05 && rm "$1"`;
  expect(Bun.spawnSync(["sh", "-c", program, "sh", it.path]).exitCode).toBe(0);
  await pair.settle();
  expect(pair.source.names()).toEqual([]);
});
