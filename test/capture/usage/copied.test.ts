/** Files that come into the data folder otherwise than by SQLite, one by one and piece by piece. */
import { expect, test } from "bun:test";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseFiles } from "../../../src/capture/database-files.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { Application, hashFile, Pair, type PairOptions, temporaryFolder } from "../../support/capture/pair.ts";
import { PausingCopier } from "./pausing-copier.ts";

/** A whole database outside the data folder, and a pair over one with a database that is captured. */
async function begin(bytes: number, options: PairOptions = {}) {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const made = join(folder.path, "made.db");
  const application = new Application();
  await application.open("made", made);
  await application.run(
    "made",
    `CREATE TABLE t(id INTEGER PRIMARY KEY, v); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${bytes / 4000}) INSERT INTO t(v) SELECT randomblob(3900) FROM n`,
  );
  await application.close("made");
  await application.open("other", join(root, "other.db"));
  await application.run("other", "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  const pair = await Pair.open(folder.path, options);
  return {
    root,
    application,
    pair,
    made,
    target: join(root, "new.db"),
    /** What the copy has under the name, as an application reads it. */
    check: async (name: string): Promise<unknown> => {
      const looked = join(folder.path, `looked-${Math.random()}.db`);
      copyFileSync(join(folder.path, "copy", name), looked);
      await application.open(looked, looked);
      return (await application.run(looked, "PRAGMA integrity_check"))[0];
    },
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

for (const [how, preallocated] of [
  ["copied in pieces", false],
  ["made at full size and then filled", true],
] as const) {
  test(`a database that is ${how} is captured when it is whole, responses are held until then, and other databases continue`, async () => {
    await using it = await begin(200_000);
    const content = readFileSync(it.made);
    const fd = openSync(`${it.target}.part`, "w");
    // The name comes with the first bytes, while this descriptor continues to write.
    if (preallocated) writeSync(fd, Buffer.alloc(content.byteLength), 0, content.byteLength, 0);
    writeSync(fd, content, 0, 4096, 0);
    renameSync(`${it.target}.part`, it.target);
    // This process is not looked at; a copier is another one, which has the file open until it is done.
    const copier = Bun.spawn(["bash", "-c", 'exec 3>>"$0"; echo open; read -r _', it.target], {
      stdin: "pipe",
      stdout: "pipe",
    });
    await copier.stdout.getReader().read();
    for (let at = 4096; at < content.byteLength; at += 40_000) {
      writeSync(fd, content, at, Math.min(40_000, content.byteLength - at), at);
      await it.application.run("other", "INSERT INTO t VALUES (1)");
      expect(await it.pair.sync()).toBeGreaterThan(0);
      expect(it.pair.source.isAhead()).toBe(true);
      expect(it.pair.source.uncaptured().map(({ name }) => name)).toEqual(["new.db"]);
    }
    closeSync(fd);
    void copier.stdin.end();
    await copier.exited;
    await it.pair.settle();
    expect(await it.check("new.db")).toEqual({ integrity_check: "ok" });
  });
}

test("a file that a program begins to write over after it was found whole is captured when it is whole again, though it keeps its size", async () => {
  await using it = await begin(200_000);
  copyFileSync(it.made, `${it.target}.part`);
  await it.application.open("made", it.made);
  await it.application.run("made", "UPDATE t SET v = randomblob(3900)");
  await it.application.close("made");
  const tryOpen = DatabaseFiles.tryOpen;
  const copier = new PausingCopier(it.made, it.target);
  try {
    DatabaseFiles.tryOpen = (...opening) => {
      const files = tryOpen.call(DatabaseFiles, ...opening);
      if (files !== undefined) copier.writeHalf();
      return files;
    };
    renameSync(`${it.target}.part`, it.target);
    for (let look = 0; look < 50; look++) {
      await it.pair.sync();
      await Bun.sleep(5);
    }
    expect([copier.isHalfWritten, it.pair.source.uncaptured().map(({ name }) => name)]).toEqual([true, ["new.db"]]);
  } finally {
    DatabaseFiles.tryOpen = tryOpen;
    copier.writeRest();
  }
  await it.pair.settle();
  expect(await it.check("new.db")).toEqual({ integrity_check: "ok" });
  expect(it.pair.copyHash("new.db")).toBe(hashFile(it.target));
});

test("a truncated database under a matching name is left out with a warning, and captured when it is whole", async () => {
  await using it = await begin(200_000, { limits: { attachWaitMsMax: 400 } });
  const content = readFileSync(it.made);
  writeFileSync(it.target, content.subarray(0, 100_000));
  await it.pair.settle();
  expect(it.pair.warnings.join()).toContain("new.db is left out: it has 100000 of");
  writeFileSync(it.target, content);
  await it.pair.settle();
  expect(await it.check("new.db")).toEqual({ integrity_check: "ok" });
});

test("a truncated database is left out, whichever parts of a look come before and after the end of the wait", async () => {
  for (let stepMs = 1; stepMs <= 13; stepMs++) {
    let nowMs = 0;
    const clock: Clock = { ...systemClock, now: () => (nowMs += stepMs) };
    await using it = await begin(200_000, { limits: { attachWaitMsMax: 400 }, clock });
    writeFileSync(it.target, readFileSync(it.made).subarray(0, 100_000));
    await it.pair.settle();
    expect(it.pair.warnings.join()).toContain("new.db is left out: it has 100000 of");
  }
});

test("a plain file under a matching name is a warning; one with a log beside it, as an encrypted database has, holds responses", async () => {
  await using it = await begin(8000);
  writeFileSync(it.target, "not a database at all, and longer than a hundred bytes ".repeat(3));
  expect(it.pair.source.isAhead()).toBe(false);
  expect(it.pair.warnings.join()).toContain("left out: new.db");
  writeFileSync(`${it.target}-wal`, "x");
  await it.pair.sync();
  expect(it.pair.source.isAhead()).toBe(true);
  rmSync(it.target);
  rmSync(`${it.target}-wal`);
  await it.pair.settle();
  expect(it.pair.source.uncaptured()).toEqual([]);
});

test("databases that are created and deleted in quick succession end nothing", async () => {
  await using it = await begin(8000);
  for (let round = 0; round < 30; round++) {
    const path = join(it.root, `quick-${round % 3}.db`);
    await it.application.open("quick", path);
    await it.application.run("quick", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
    const [collected] = await Promise.all([it.pair.sync(), it.application.close("quick").then(() => rmSync(path))]);
    expect(collected).toBeGreaterThanOrEqual(0);
    for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix, { force: true });
  }
  await it.pair.settle();
});

test("a database that is deleted and made again under its name between two looks is captured as the new one", async () => {
  await using it = await begin(8000);
  for (let round = 0; round < 5; round++) {
    await it.application.open(`again-${round}`, it.target);
    await it.application.run(`again-${round}`, `PRAGMA journal_mode=WAL; CREATE TABLE round_${round}(v)`);
    await it.pair.settle();
    expect(it.pair.copyHash("new.db")).toBe((await it.application.image(`again-${round}`)).sha256);
    await it.application.close(`again-${round}`);
    for (const suffix of ["", "-wal", "-shm"]) rmSync(it.target + suffix, { force: true });
  }
});

test("a nightly copy that is renamed over the one of the night before is captured each night", async () => {
  await using it = await begin(8000);
  for (let night = 0; night < 3; night++) {
    await it.application.run("other", `INSERT INTO t VALUES (${night}); VACUUM INTO '${it.target}.tmp'`);
    renameSync(`${it.target}.tmp`, it.target);
    await it.pair.settle();
    expect(await it.check("new.db")).toEqual({ integrity_check: "ok" });
  }
});

test("a first transaction that takes long holds responses and ends nothing", async () => {
  await using it = await begin(8000);
  await it.application.open("new", it.target);
  await it.application.run("new", "CREATE TABLE t(v); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
  for (let look = 0; look < 20; look++) {
    await it.application.run("other", "INSERT INTO t VALUES (2)");
    expect(await it.pair.sync()).toBeGreaterThan(0);
    expect(it.pair.source.isAhead()).toBe(true);
  }
  await it.application.run("new", "COMMIT");
  await it.pair.settle();
  expect(await it.check("new.db")).toEqual({ integrity_check: "ok" });
});
