import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as immediate } from "node:timers/promises";
import type { SnapshotDatabase } from "../../src/capture/snapshot.ts";
import { Application, Pair, type PairOptions, temporaryFolder } from "../support/capture/pair.ts";

async function begin(options: PairOptions = {}) {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const application = new Application();
  await application.open("a", join(root, "app.db"));
  await application.run(
    "a",
    "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); PRAGMA busy_timeout=0",
  );
  const pair = await Pair.open(folder.path, options);
  return {
    folder: folder.path,
    root,
    application,
    pair,
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

async function hashOf({ read, pageSize, pageCount }: SnapshotDatabase, chunkPages: number): Promise<string> {
  const chunkBytes = chunkPages * pageSize;
  const hash = createHash("sha256");
  for (let offset = 0; offset < pageSize * pageCount; offset += chunkBytes)
    hash.update(await read(offset, Math.min(chunkBytes, pageSize * pageCount - offset)));
  return hash.digest("hex");
}

function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined || items.length !== 1) throw new Error(`${items.length} items`);
  return item;
}

for (const before of ["", "PRAGMA wal_checkpoint(PASSIVE)"]) {
  test(`a snapshot stays what it was while the application writes, checkpoints and vacuums${before === "" ? "" : ", also when all was backfilled before"}`, async () => {
    await using it = await begin();
    await it.application.run(
      "a",
      "INSERT INTO t(v) SELECT randomblob(3000) FROM (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10))",
    );
    await it.pair.sync();
    await it.pair.source.tick();
    if (before !== "") await it.application.run("a", before);
    await it.pair.source.tick();
    const image = await it.application.image("a");
    const { batch, snapshot } = await it.pair.source.beginSnapshot();
    expect(batch).toBeUndefined();
    const database = only(snapshot.databases);
    for (const sql of [
      "UPDATE t SET v=randomblob(5000)",
      "PRAGMA wal_checkpoint(TRUNCATE)",
      "DELETE FROM t WHERE id>2",
      "VACUUM",
      "PRAGMA wal_checkpoint(RESTART)",
      "INSERT INTO t(v) VALUES (randomblob(100000))",
    ]) {
      await it.application.run("a", sql);
      await it.pair.sync();
      await it.pair.source.tick();
      for (const chunkPages of [1_000_000, 1, 3]) expect(await hashOf(database, chunkPages)).toBe(image.sha256);
    }
    await snapshot.release();
    await it.pair.sync();
    expect(it.pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
  });
}

test("a snapshot is the state after the batch that comes with it", async () => {
  await using it = await begin();
  await it.application.run("a", "INSERT INTO t(v) VALUES (randomblob(50000))");
  const { batch, snapshot } = await it.pair.source.beginSnapshot();
  expect(batch?.pageCount).toBeGreaterThan(10);
  await it.pair.applyBatch(batch);
  const database = only(snapshot.databases);
  expect(await hashOf(database, 5)).toBe(it.pair.copyHash("app.db") ?? "missing");
  expect(it.pair.replica.checksums().get("app.db")).toEqual(database.checksum);
  await expect(database.read(0, database.pageSize * (database.pageCount + 1))).rejects.toThrow(RangeError);
  await expect(database.read(1, database.pageSize)).rejects.toThrow(RangeError);
  await expect(it.pair.source.beginSnapshot()).rejects.toThrow("active already");
  await snapshot.release();
  expect(it.pair.source.isAhead()).toBe(false);
});

test("a database that is deleted while a snapshot and a large batch still read it stays readable for them", async () => {
  await using it = await begin({ limits: { eagerBytesMax: 0 } });
  await it.application.run("a", "INSERT INTO t(v) VALUES (randomblob(50000))");
  const image = await it.application.image("a");
  const { batch, snapshot } = await it.pair.source.beginSnapshot();
  await it.application.close("a");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(join(it.root, `app.db${suffix}`));
  await it.application.open("a", join(it.root, "other.db"));
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(90000))");
  const next = await it.pair.source.collect();
  await it.pair.source.tick();
  expect(await hashOf(only(snapshot.databases), 1)).toBe(image.sha256);
  await it.pair.applyBatch(batch);
  expect(it.pair.copyHash("app.db")).toBe(image.sha256);
  await it.pair.applyBatch(next);
  await snapshot.release();
  await it.pair.source.tick();
  expect(it.pair.copyHash("app.db")).toBeUndefined();
  expect(it.pair.copyHash("other.db")).toBe((await it.application.image("a")).sha256);
});

test("a snapshot of a source without databases is empty", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  await using pair = await Pair.open(folder.path);
  const { batch, snapshot } = await pair.source.beginSnapshot();
  expect(batch).toBeUndefined();
  expect(snapshot.databases).toEqual([]);
  await snapshot.release();
});

test("a cut over two databases never shows a later commit without an earlier one", async () => {
  await using it = await begin();
  await it.application.open("b", join(it.root, "b.db"));
  await it.application.run(
    "b",
    "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 0)",
  );
  await it.application.run("a", "INSERT INTO t VALUES (1, 0)");
  const script = `
    const { DatabaseSync } = require("node:sqlite");
    const [a, b] = ["app.db", "b.db"].map((name) => new DatabaseSync(${JSON.stringify(it.root)} + "/" + name));
    for (const d of [a, b]) d.exec("PRAGMA busy_timeout=30000; PRAGMA synchronous=OFF");
    const [up, follow] = [a, b].map((d) => d.prepare("UPDATE t SET v = ? WHERE id = 1"));
    for (let n = 1; ; n++) { up.run(n); follow.run(n); }`;
  const writer = spawn(process.execPath, ["-e", script], { stdio: "ignore" });
  const gone = new Promise((resolve) => writer.on("exit", resolve));
  const valueIn = (name: string): number => {
    const at = join(it.folder, `look-${name}`);
    copyFileSync(join(it.pair.copy, name), at);
    const database = new Database(at);
    try {
      return (database.query("SELECT v FROM t WHERE id = 1").get() as { v: number }).v;
    } finally {
      database.close();
      for (const suffix of ["", "-wal", "-shm"]) rmSync(at + suffix, { force: true });
    }
  };
  let last = 0;
  for (let looks = 0; looks < 60; ) {
    if ((await it.pair.sync()) === 0) {
      await immediate();
      continue;
    }
    await it.pair.source.tick();
    const [a, b] = [valueIn("app.db"), valueIn("b.db")];
    expect(a === b || a === b + 1).toBe(true);
    last = Math.max(last, a);
    looks += 1;
  }
  writer.kill("SIGKILL");
  await gone;
  expect(last).toBeGreaterThan(60);
});

test("a database that is read completely holds up no checkpoint of the application, while others are still being read", async () => {
  await using it = await begin();
  await it.application.open("b", join(it.root, "other.db"));
  await it.application.run(
    "b",
    "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v); PRAGMA busy_timeout=0",
  );
  await it.pair.settle();
  const { batch, snapshot } = await it.pair.source.beginSnapshot();
  await it.pair.applyBatch(batch);
  /** Tries again as a busy timeout does: this host's own pin moves at its ticks. */
  const resets = async (connection: string, tries = 50): Promise<boolean> => {
    await it.application.run(connection, "INSERT INTO t(v) VALUES (1)");
    for (; tries > 0; tries--) {
      await it.pair.sync();
      await it.pair.source.tick();
      const [found] = await it.application.run(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
      if (found?.["busy"] === 0) return true;
    }
    return false;
  };
  expect(await resets("a")).toBe(false);
  const done = snapshot.databases.find(({ name }) => name === "app.db");
  done?.release?.();
  expect(await resets("a")).toBe(true);
  expect(await resets("b")).toBe(false);
  expect(() => done?.read(0, 512)).toThrow("released");
  await snapshot.release();
  expect(await resets("b")).toBe(true);
});
