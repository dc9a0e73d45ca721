import { expect, test } from "bun:test";
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Source } from "../../src/capture/source.ts";
import { Application, hashFile, Pair, partsOf, sourceOptions, temporaryFolder } from "../support/capture/pair.ts";
import { makeSparse, sameFiles, writeAt } from "../support/capture/sparse-file.ts";

/** A folder with an application that has one WAL database open. */
async function begin(options: { pageSize?: number; setUp?: string } = {}) {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  const path = join(folder.path, "app", "app.db");
  const application = new Application();
  await application.open("a", path);
  if (options.pageSize !== undefined) await application.run("a", `PRAGMA page_size=${options.pageSize}`);
  if (options.setUp !== undefined) await application.run("a", options.setUp);
  await application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
  return {
    folder,
    path,
    application,
    async [Symbol.asyncDispose]() {
      await application.kill();
      folder[Symbol.dispose]();
    },
  };
}

const blobs = (count: number, bytes: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${count}) INSERT INTO t(v) SELECT randomblob(${bytes}) FROM n`;

test("nothing is ahead after the start, and nothing is collected", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder.path);
  expect(pair.source.isAhead()).toBe(false);
  expect(await pair.source.collect()).toBeUndefined();
});

test("a commit is ahead until it is collected, and the copy is what the application reads", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder.path);
  await it.application.run("a", blobs(10, 5000));
  expect(pair.source.isAhead()).toBe(true);
  expect(await pair.sync()).toBeGreaterThan(10);
  expect(pair.source.isAhead()).toBe(false);
  expect(pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
  expect(pair.replica.checksums()).toEqual(pair.source.checksums());
});

test("an open transaction is not collected, not even after it spilled, and not after its rollback", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder.path);
  await it.application.run("a", `PRAGMA cache_size=10; BEGIN; ${blobs(500, 4000)}`);
  expect(statSync(`${it.path}-wal`).size).toBeGreaterThan((500 * 4000) / 2);
  expect(pair.source.isAhead()).toBe(false);
  await it.application.run("a", "ROLLBACK; INSERT INTO t(v) VALUES ('kept')");
  await pair.sync();
  expect(pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
});

test("a page that was written many times is delivered once, with its last content", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder.path);
  for (let i = 0; i < 20; i++) await it.application.run("a", `INSERT OR REPLACE INTO t VALUES (1, ${i})`);
  const batch = await pair.source.collect();
  expect(batch?.pageCount).toBe(1);
  await pair.applyBatch(batch);
  expect(pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
});

for (const pageSize of [512, 1024, 8192, 65_536]) {
  test(`pages of ${pageSize} bytes`, async () => {
    await using it = await begin({ pageSize });
    await using pair = await Pair.open(it.folder.path);
    await it.application.run("a", blobs(50, 10_000));
    await pair.sync();
    await it.application.run("a", "DELETE FROM t WHERE id % 3 = 0; VACUUM");
    await pair.sync();
    const image = await it.application.image("a");
    expect(pair.copyHash("app.db")).toBe(image.sha256);
    expect(statSync(join(pair.copy, "app.db")).size).toBe(image.bytes);
  });
}

test("a database that shrinks and grows again, with auto_vacuum, across collections and within one", async () => {
  await using it = await begin({ setUp: "PRAGMA auto_vacuum=FULL" });
  await using pair = await Pair.open(it.folder.path);
  const steps = [blobs(100, 4000), "DELETE FROM t WHERE id > 5", blobs(60, 4000), "DELETE FROM t", blobs(10, 9000)];
  for (const step of steps) {
    await it.application.run("a", step);
    await pair.sync();
    expect(pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
  }
  for (const step of steps) await it.application.run("a", step);
  await pair.sync();
  expect(pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
});

test("a large batch is cut into parts that fit, can be read again, and is the same each time", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder.path, { limits: { partBytesMax: 100_000, eagerBytesMax: 0 } });
  await it.application.run("a", blobs(300, 4000));
  const batch = await pair.source.collect();
  if (batch === undefined) throw new Error("nothing was collected");
  const parts = partsOf(batch);
  expect(parts.length).toBe(batch.partCount);
  expect(parts.length).toBeGreaterThan(10);
  for (const part of parts)
    expect(part.reduce((sum, delta) => sum + delta.pages.length * delta.pageSize, 0)).toBeLessThanOrEqual(100_000);
  expect(partsOf(batch)).toEqual(parts);
  await pair.applyBatch(batch);
  expect(pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
});

test("two databases, one in a folder that a glob finds", async () => {
  await using it = await begin();
  mkdirSync(join(it.folder.path, "app", "tenants"));
  await it.application.open("b", join(it.folder.path, "app", "tenants", "one.db"));
  await it.application.run("b", "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
  await using pair = await Pair.open(it.folder.path, { databases: ["app.db", "tenants/*.db"] });
  await it.application.run("a", blobs(3, 100));
  await it.application.run("b", blobs(3, 100));
  const batch = await pair.source.collect();
  expect(
    partsOf(batch ?? never())
      .flat()
      .map(({ name }) => name),
  ).toEqual(["app.db", "tenants/one.db"]);
  await pair.applyBatch(batch);
  expect(pair.copyHash("tenants/one.db")).toBe((await it.application.image("b")).sha256);
});

test("after the application and the source are gone the database file alone is the state, and equals the copy", async () => {
  await using it = await begin();
  const pair = await Pair.open(it.folder.path);
  await it.application.run("a", blobs(30, 3000));
  await it.application.close("a");
  expect(existsSync(`${it.path}-wal`)).toBe(true);
  await pair.sync();
  await it.application.kill();
  expect(await pair.close()).toEqual({ ahead: false });
  expect(existsSync(`${it.path}-wal`)).toBe(false);
  expect(pair.copyHash("app.db")).toBe(hashFile(it.path));
});

test("closing without folding leaves every byte as it is and says that something was ahead", async () => {
  await using it = await begin();
  const pair = await Pair.open(it.folder.path);
  await it.application.run("a", blobs(30, 3000));
  await it.application.kill();
  const before = [readFileSync(it.path), readFileSync(`${it.path}-wal`)];
  expect(await pair.source.close({ fold: false })).toEqual({ ahead: true });
  expect([readFileSync(it.path), readFileSync(`${it.path}-wal`)]).toEqual(before);
});

test("closing while something is ahead says so", async () => {
  await using it = await begin();
  const pair = await Pair.open(it.folder.path);
  await it.application.run("a", blobs(1, 10));
  expect(await pair.close()).toEqual({ ahead: true });
});

test("a database in rollback mode is switched to WAL before the application starts, with what it holds", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  await using application = new Application();
  await application.open("a", join(folder.path, "app", "app.db"));
  await application.run("a", "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t(v) VALUES (1)");
  await using pair = await Pair.open(folder.path);
  // The application's connection, open all the time, notices with its next statement.
  await application.run("a", blobs(5, 1000));
  expect(await application.run("a", "PRAGMA journal_mode")).toEqual([{ journal_mode: "wal" }]);
  await pair.sync();
  expect(pair.copyHash("app.db")).toBe((await application.image("a")).sha256);
});

test("with the hashes that a replica hands over the next source starts without reading, with the same result", async () => {
  await using it = await begin();
  const pair = await Pair.open(it.folder.path);
  await it.application.run("a", blobs(50, 3000));
  await pair.sync();
  const checksums = pair.source.checksums();
  const known = pair.replica.handOver();
  await pair.close();
  const next = await Source.open({ ...sourceOptions(pair.copy), known });
  expect(next.checksums()).toEqual(checksums);
  await using second = new Application();
  await second.open("a", join(pair.copy, "app.db"));
  await second.run("a", blobs(5, 3000));
  const batch = await next.collect();
  expect(batch?.pageCount).toBeGreaterThan(4);
  const kept = next.checksums();
  await second.kill();
  await next.close();
  const fresh = await Source.open(sourceOptions(pair.copy));
  expect(fresh.checksums()).toEqual(kept);
  await fresh.close();
});

test("a file that is longer than its header says (grown in chunks, SQLITE_FCNTL_CHUNK_SIZE) is whole on the next host", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  const path = join(folder.path, "app", "app.db");
  await using application = new Application();
  await application.open("a", path);
  await application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
  await application.close("a");
  appendFileSync(path, new Uint8Array(4 * 4096).fill(7));
  const pair = await Pair.open(folder.path);
  await application.open("a", path);
  await application.run("a", "INSERT INTO t VALUES (2)");
  await pair.sync();
  const checksums = pair.source.checksums();
  const known = pair.replica.handOver();
  await application.kill();
  await pair.close();
  // What the host compares at a promotion (verify-handoff.ts).
  const next = await Source.open({ ...sourceOptions(pair.copy), known });
  expect(next.checksums()).toEqual(checksums);
  await next.close();
  const fresh = await Source.open(sourceOptions(pair.copy));
  expect(fresh.checksums()).toEqual(checksums);
  await fresh.close();
});

test("calls that overlap are refused", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder.path);
  const first = pair.source.collect();
  await expect(pair.source.tick()).rejects.toThrow("tick during collect");
  await first;
});

function never(): never {
  throw new Error("unreachable");
}

// Writes a gigabyte: only in long runs.
test("a database that grows past the lock page at 1 GiB is copied, the lock page as zeros", async () => {
  const pageSize = 65_536;
  const lock = 2 ** 30 / pageSize + 1;
  await using it = await begin({ pageSize });
  await it.application.run("a", "PRAGMA wal_checkpoint(TRUNCATE)");
  await it.application.close("a");
  makeSparse(it.path, lock - 1, pageSize);
  await it.application.open("a", it.path);
  const pair = await Pair.openWithout(it.folder.path);
  const { snapshot: base } = await pair.source.beginSnapshot();
  expect(base.databases[0]?.pageCount).toBe(lock - 1);
  await pair.applySparse(base, 4);
  await base.release();
  for (let i = 0; i < 3; i++) {
    await it.application.run("a", "INSERT INTO t(v) VALUES (randomblob(3000000))");
    expect(await pair.sync()).toBeGreaterThan(3_000_000 / pageSize);
  }
  expect(pair.source.databases()[0]?.pageCount).toBeGreaterThan(lock + 9_000_000 / pageSize);
  const { snapshot } = await pair.source.beginSnapshot();
  expect(await snapshot.databases[0]?.read(2 ** 30, pageSize)).toEqual(new Uint8Array(pageSize));
  await snapshot.release();
  const rows = await it.application.run("a", "SELECT count(*) AS n, sum(length(v)) AS bytes FROM t");
  expect(rows).toEqual([{ n: 3, bytes: 9_000_000 }]);
  await it.application.kill();
  const checksums = pair.replica.checksums();
  await pair.close();
  expect(sameFiles(join(pair.copy, "app.db"), it.path)).toBe(true);

  // A database that is past it from the start; whatever lies in the lock page is not content.
  writeAt(it.path, 2 ** 30, Buffer.alloc(pageSize, 7));
  const again = await Source.open(sourceOptions(pair.root));
  const { snapshot: later } = await again.beginSnapshot();
  expect(await later.databases[0]?.read(2 ** 30, pageSize)).toEqual(new Uint8Array(pageSize));
  expect(again.checksums()).toEqual(checksums);
  await later.release();
  await again.close();
}, 120_000);
