/**
 * Errors of a database that is captured already: what may pass holds answers, what puts acknowledged data at stake ends
 * capture.
 */
import { dlopen } from "bun:ffi";
import { expect, spyOn, test } from "bun:test";
import {
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseFiles } from "../../../src/capture/database-files.ts";
import { TrackedDatabase } from "../../../src/capture/tracked-database.ts";
import { Pair, type PairOptions } from "../../support/capture/pair.ts";
import { begin, refusedAtTheGate } from "./parts.ts";

async function captured(options: PairOptions = {}) {
  const it = await begin();
  for (const name of ["app", "other"]) {
    await it.application.open(name, join(it.root, `${name}.db`));
    await it.application.run(name, "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
  }
  const pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 60_000 }, ...options });
  return {
    ...it,
    pair,
    /** What the copy of a database has, as SQLite reads it. */
    rows: async (name: string): Promise<unknown> => {
      const looked = join(it.folder, `looked-${Math.random()}.db`);
      writeFileSync(looked, readFileSync(join(pair.copy, `${name}.db`)));
      await it.application.open(looked, looked);
      return it.application.run(looked, "SELECT count(*) FROM t");
    },
    async [Symbol.asyncDispose]() {
      await it.application.kill();
      await pair.close().catch(() => undefined);
      await it[Symbol.asyncDispose]();
    },
  };
}

/**
 * Reads of the log fail with an error of the system (EISDIR) until it is mended: its descriptors lead to a folder
 * meanwhile. No lock of SQLite is on that file.
 */
function breakLog(path: string): () => void {
  const { symbols } = dlopen("libc.so.6", {
    dup: { args: ["i32"], returns: "i32" },
    dup2: { args: ["i32", "i32"], returns: "i32" },
  });
  const descriptors = readdirSync("/proc/self/fd")
    .map(Number)
    .filter((fd) => leadsTo(fd) === path);
  expect(descriptors.length).toBeGreaterThan(0);
  const folder = openSync("/tmp", "r");
  const kept = descriptors.map((fd) => ({ fd, copy: symbols.dup(fd) }));
  for (const fd of descriptors) symbols.dup2(folder, fd);
  closeSync(folder);
  return () => {
    for (const { fd, copy } of kept) {
      symbols.dup2(copy, fd);
      closeSync(copy);
    }
  };
}

function leadsTo(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // That of the listing itself.
  }
}

test.skipIf(process.platform !== "linux")(
  "an I/O error on one log holds the flushes of all, names the database, and nothing is missing when it has passed",
  async () => {
    await using it = await captured();
    const mend = breakLog(`${it.path}-wal`);
    try {
      await it.application.run("app", "INSERT INTO t VALUES (2)");
      await it.application.run("other", "INSERT INTO t VALUES (2)");
      for (let look = 0; look < 5; look++) expect([await it.pair.sync(), it.pair.source.isAhead()]).toEqual([0, true]);
      expect(it.pair.source.uncaptured().map(({ name, reason }) => [name, reason.includes("EISDIR")])).toEqual([
        ["app.db", true],
      ]);
    } finally {
      mend();
    }
    await it.pair.settle();
    expect(it.pair.source.uncaptured()).toEqual([]);
    expect([await it.rows("app"), await it.rows("other")]).toEqual([[[2]], [[2]]]);
  },
);

test.skipIf(process.platform !== "linux")(
  "an I/O error that lasts ends capture when the patience is over, and what was captured stays unchanged",
  async () => {
    await using it = await captured({ limits: { attachWaitMsMax: 300 } });
    const mend = breakLog(`${it.path}-wal`);
    try {
      await it.application.run("app", "INSERT INTO t VALUES (2)");
      expect((await refusedAtTheGate(it.pair)).kind).toBe("unreadable");
    } finally {
      mend();
    }
    expect(await it.rows("app")).toEqual([[1]]);
  },
);

test.skipIf(process.platform !== "linux")("an operator's exclusion releases what waits for it", async () => {
  let excluded: ReadonlySet<string> = new Set();
  await using it = await captured({ excluded: () => excluded });
  const mend = breakLog(`${it.path}-wal`);
  try {
    await it.application.run("app", "INSERT INTO t VALUES (2)");
    await it.application.run("other", "INSERT INTO t VALUES (2)");
    await it.pair.sync();
    excluded = new Set(["app.db"]);
    await it.pair.settle();
  } finally {
    mend();
  }
  expect([it.pair.source.names(), await it.rows("other")]).toEqual([["other.db"], [[2]]]);
});

/** What fails once while the log is sealed under the write lock. */
const inTheSeal = {
  "the lock is asked for": (fail: () => void) =>
    spyOn(DatabaseFiles.prototype, "tryLockWriters").mockImplementationOnce(fail as () => never),
  "what was committed meanwhile is read": (fail: () => void) => {
    const read = TrackedDatabase.prototype.read;
    return spyOn(TrackedDatabase.prototype, "read").mockImplementation(function (this: TrackedDatabase, ...args) {
      if (this.files.areWritersLocked) fail();
      return read.apply(this, args);
    });
  },
  "it is backfilled": (fail: () => void) => {
    const backfill = DatabaseFiles.prototype.backfill;
    return spyOn(DatabaseFiles.prototype, "backfill").mockImplementation(function (this: DatabaseFiles) {
      if (this.areWritersLocked) fail();
      return backfill.call(this);
    });
  },
};

for (const [moment, fault] of Object.entries(inTheSeal)) {
  test(`an I/O error in a seal, when ${moment}, puts the seal off, and nothing is missing`, async () => {
    await using it = await captured({ limits: { walSealBytes: 40_000, walTidyBytes: 1_000_000_000 } });
    let failures = 0;
    const spy = fault(() => {
      if (++failures === 1) throw Object.assign(new Error("disk I/O error"), { errcode: 10 });
    });
    try {
      for (let value = 0; value < 200; value++) {
        await it.application.run("app", "INSERT INTO t VALUES (randomblob(3000))");
        await it.application.run("other", "INSERT INTO t VALUES (2)");
        await it.pair.sync();
      }
    } finally {
      spy.mockRestore();
    }
    expect(failures).toBeGreaterThan(0);
    await it.pair.settle();
    expect(it.pair.warnings.join()).toContain("app.db: its write-ahead log cannot be kept short now");
    expect([await it.rows("app"), await it.rows("other")]).toEqual([[[201]], [[201]]]);
  });
}

test("a hard link that a backup makes for a moment holds responses until it is gone, and ends nothing", async () => {
  await using it = await captured();
  linkSync(it.path, join(it.folder, "backup.db"));
  await it.application.run("other", "INSERT INTO t VALUES (2)");
  await it.pair.sync();
  expect([it.pair.source.isAhead(), it.pair.source.uncaptured().map(({ name }) => name)]).toEqual([true, ["app.db"]]);
  rmSync(join(it.folder, "backup.db"));
  await it.pair.settle();
  await it.application.run("app", "INSERT INTO t VALUES (2)");
  await it.pair.settle();
  expect(await it.rows("app")).toEqual([[2]]);
});

test("commits by the other name of a hard link, which were written into the file when it was closed, end capture", async () => {
  await using it = await captured();
  await it.application.run("app", "PRAGMA wal_checkpoint(PASSIVE)");
  await it.application.close("app");
  await it.pair.settle();
  linkSync(it.path, join(it.folder, "backup.db"));
  await it.pair.sync();
  expect(it.pair.source.uncaptured().map(({ name }) => name)).toEqual(["app.db"]);
  await it.application.open("by-link", join(it.folder, "backup.db"));
  await it.application.run("by-link", "INSERT INTO t VALUES (2); PRAGMA wal_checkpoint(TRUNCATE)");
  await it.application.close("by-link");
  rmSync(join(it.folder, "backup.db"));
  expect(["uncoordinated", "continuity"]).toContain((await refusedAtTheGate(it.pair)).kind);
  expect(await it.rows("app")).toEqual([[1]]);
});

test("a log beside the other name ends capture at once: the process that opened it there commits into that log", async () => {
  await using it = await captured();
  linkSync(it.path, join(it.folder, "backup.db"));
  await it.pair.sync();
  writeFileSync(join(it.folder, "backup.db-wal"), "");
  const error = await refusedAtTheGate(it.pair);
  expect([error.kind, error.found]).toEqual([
    "uncoordinated",
    `app.db: a write-ahead log beside its other name: ${join(it.folder, "backup.db")}-wal`,
  ]);
});

test("a captured database whose file is cut off ends capture, since what clients were told is not in it any more; the copy has it", async () => {
  await using it = await captured();
  await it.application.run("app", "PRAGMA wal_checkpoint(PASSIVE)");
  await it.pair.settle();
  truncateSync(it.path, 4096);
  expect((await refusedAtTheGate(it.pair)).kind).toBe("continuity");
  expect(await it.rows("app")).toEqual([[1]]);
});

test("a closed database that is replaced by another kind of file is a deletion and a warning", async () => {
  await using it = await captured();
  await it.application.close("app");
  writeFileSync(join(it.root, "junk"), "something else altogether, longer than a header of a hundred bytes ".repeat(3));
  renameSync(join(it.root, "junk"), it.path);
  await it.pair.settle();
  expect([it.pair.source.names(), it.pair.warnings.join().includes("left out: app.db")]).toEqual([["other.db"], true]);
});

test("a folder of databases that becomes a file, and a folder again, ends nothing", async () => {
  await using it = await captured({ databases: ["*.db", "tenants/*.db"] });
  const tenants = join(it.root, "tenants");
  writeFileSync(tenants, "");
  await it.pair.settle();
  rmSync(tenants);
  mkdirSync(tenants);
  await it.application.open("tenant", join(tenants, "a.db"));
  await it.application.run("tenant", "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await it.pair.settle();
  expect(it.pair.source.names()).toEqual(["app.db", "other.db", "tenants/a.db"]);
});
