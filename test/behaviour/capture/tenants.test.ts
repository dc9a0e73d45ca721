/**
 * Hundreds of databases, nearly all of them idle: what they cost, and that a commit in any of them is seen before its
 * answer leaves.
 */
import { expect, test } from "bun:test";
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SeededRandom } from "../../../harness/seeded-random.ts";
import { descriptorsFor } from "../../../src/capture/limits.ts";
import type { Snapshot } from "../../../src/capture/snapshot.ts";
import { Source } from "../../../src/capture/source.ts";
import { WrittenMeanwhileError } from "../../../src/capture/written-meanwhile.ts";
import {
  Application,
  hashFile,
  Pair,
  type PairOptions,
  sourceOptions,
  temporaryFolder,
} from "../../support/capture/pair.ts";

const tenants = 300;

async function begin(folder: string, options: PairOptions = {}): Promise<Pair> {
  const root = join(folder, "app");
  mkdirSync(root);
  const first = new DatabaseSync(join(root, "0.db"));
  first.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  first.close();
  for (let tenant = 1; tenant < tenants; tenant++) copyFileSync(join(root, "0.db"), join(root, `${tenant}.db`));
  return Pair.open(folder, options);
}

/** Events that the kernel keeps until they are read. */
const queuedMax = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));

/** Until no look of the gate looks at any of them. */
async function untilQuiet({ source }: Pair): Promise<void> {
  while (source.counts().active > 0) {
    if (source.isAhead()) (await source.collect())?.done();
    await source.tick();
    await Bun.sleep(1);
  }
}

/** Until no process has any of them open, this host neither. */
async function untilDormant(pair: Pair): Promise<void> {
  while (pair.source.counts().dormant < tenants) {
    await untilQuiet(pair);
    await pair.source.tick();
    await Bun.sleep(1);
  }
}

const quickly = { limits: { quietAfterMs: 50, dormantAfterMs: 3_600_000 } };
const asleepAtOnce = { limits: { quietAfterMs: 50, dormantAfterMs: 100 } };
/** Of this process, below this folder. */
function descriptors(folder: string): number {
  const open = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // That of the list itself.
    }
  });
  return open.filter((path) => path.startsWith(`${folder}/`)).length;
}

test("hundreds of databases that no process has open cost no descriptors, and a commit in any of them is captured by the next look", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, asleepAtOnce);
  await using application = new Application();
  await untilDormant(pair);
  expect(descriptors(pair.root)).toBe(0);
  const dice = new SeededRandom(12);
  for (let turn = 0; turn < 40; turn++) {
    const name = `${dice.below(tenants)}`;
    expect(pair.source.isAhead()).toBe(false);
    await application.open(name, join(pair.root, `${name}.db`));
    await application.run(name, `INSERT INTO t VALUES (${turn})`);
    if (turn % 4 === 0) await application.run(name, "PRAGMA wal_checkpoint(TRUNCATE)");
    const { sha256 } = await application.image(name);
    // Closed before the next look: the log is gone, and its pages are in the file.
    if (turn % 4 < 2) await application.close(name);
    expect(pair.source.isAhead()).toBe(true);
    await pair.sync();
    expect(pair.source.isAhead()).toBe(false);
    expect(pair.copyHash(`${name}.db`)).toBe(sha256);
    if (turn % 4 >= 2) await application.close(name);
    if (turn % 10 === 9) await untilDormant(pair);
  }
});

test("a database that no process has open and that is written while a snapshot is being copied is woken, and the next snapshot keeps it as it was", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, asleepAtOnce);
  await using application = new Application();
  await untilDormant(pair);
  const contentOf = async (snapshot: Snapshot): Promise<Uint8Array | undefined> => {
    const database = snapshot.databases.find(({ name }) => name === "7.db");
    return database?.read(0, database.pageSize * database.pageCount);
  };
  const write = (value: string): Promise<unknown> =>
    application.run("7", `INSERT INTO t VALUES ('${value}'); PRAGMA wal_checkpoint(PASSIVE)`);
  const { snapshot: spoilt } = await pair.source.beginSnapshot();
  await application.open("7", join(pair.root, "7.db"));
  await write("meanwhile");
  await expect(contentOf(spoilt)).rejects.toThrow(WrittenMeanwhileError);
  expect(pair.source.isAhead()).toBe(true);
  await spoilt.release();

  const { batch, snapshot } = await pair.source.beginSnapshot();
  await pair.applyBatch(batch);
  expect(pair.source.counts().dormant).toBe(tenants - 1);
  await write("once more");
  const content = await contentOf(snapshot);
  expect(new Bun.CryptoHasher("sha256").update(content ?? "").digest("hex")).toBe(pair.copyHash("7.db") ?? "");
  await snapshot.release();
  await pair.settle();
  expect(pair.copyHash("7.db")).toBe((await application.image("7")).sha256);
});

test("a database that is deleted, replaced or changed without SQLite while no process has it open is captured in its present state", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, asleepAtOnce);
  await untilDormant(pair);
  rmSync(join(pair.root, "1.db"));
  const other = join(folder.path, "other.db");
  const database = new DatabaseSync(other);
  database.exec("PRAGMA journal_mode=WAL; CREATE TABLE u(v); INSERT INTO u VALUES('another one')");
  database.close();
  copyFileSync(other, join(pair.root, "2.db"));
  renameSync(other, join(pair.root, "3.db"));
  expect(pair.source.isAhead()).toBe(true);
  await pair.settle();
  expect(pair.source.names()).not.toContain("1.db");
  for (const name of ["2.db", "3.db"]) expect(pair.copyHash(name)).toBe(hashFile(join(pair.root, name)));
  expect(pair.copyHash("1.db")).toBeUndefined();
});

test("a primary begins with what its replica wrote without opening it, and does not take another file for that", async () => {
  using folder = temporaryFolder();
  const pair = await begin(folder.path, asleepAtOnce);
  const known = pair.replica.handOver();
  await pair.close();
  const changed = new DatabaseSync(join(pair.copy, "5.db"));
  changed.exec("CREATE TABLE u(v)");
  changed.close();
  const source = await Source.open({ ...sourceOptions(pair.copy), known });
  expect(source.counts()).toEqual({ active: 1, quiet: 0, dormant: tenants - 1 });
  expect(descriptors(pair.copy)).toBe(descriptorsFor(1));
  expect(
    Buffer.compare(source.checksums().get("6.db") ?? Buffer.of(), known.get("6.db")?.checksum() ?? Buffer.of()),
  ).toBe(0);
  expect(
    Buffer.compare(source.checksums().get("5.db") ?? Buffer.of(), known.get("5.db")?.checksum() ?? Buffer.of()),
  ).not.toBe(0);
  await source.close();
});

test("a commit in any of hundreds of idle databases is found by the next look, which opens no other one", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, quickly);
  await using application = new Application();
  const dice = new SeededRandom(11);
  const opened = new Set<string>();
  await untilQuiet(pair);
  expect(descriptors(pair.root)).toBeLessThanOrEqual(4 * tenants);
  for (let turn = 0; turn < 60; turn++) {
    const name = `${dice.below(tenants)}`;
    if (!opened.has(name)) await application.open(name, join(pair.root, `${name}.db`));
    opened.add(name);
    expect(pair.source.isAhead()).toBe(false);
    await application.run(name, `INSERT INTO t VALUES (${turn})`);
    expect(pair.source.isAhead()).toBe(true);
    await pair.sync();
    expect(pair.source.isAhead()).toBe(false);
    expect(pair.copyHash(`${name}.db`)).toBe((await application.image(name)).sha256);
    if (turn % 10 === 9) await untilQuiet(pair);
  }
});

test("after the kernel dropped events, all databases are checked", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, quickly);
  await using application = new Application();
  for (const name of ["1", "2"]) await application.open(name, join(pair.root, `${name}.db`));
  await untilQuiet(pair);
  // Two files in turns, so that no event is taken for the one before it; the one that counts is dropped.
  const scratch = ["a", "b"].map((name) => openSync(join(pair.root, name), "w"));
  for (let nth = 0; nth <= queuedMax; nth++) writeSync(scratch[nth % 2] ?? -1, "x", 0);
  await application.run("2", "INSERT INTO t VALUES ('behind a full queue')");
  expect(pair.source.isAhead()).toBe(true);
  await pair.sync();
  expect(pair.copyHash("2.db")).toBe((await application.image("2")).sha256);
  for (const fd of scratch) closeSync(fd);
});

test("there is a warning from 80 % of the limits of databases and of descriptors", async () => {
  using folder = temporaryFolder();
  await using few = await begin(folder.path, { limits: { databasesMax: 376, descriptorsMax: 1206 } });
  expect(few.warnings).toEqual([]);
  using another = temporaryFolder();
  await using many = await begin(another.path, { limits: { databasesMax: 375, descriptorsMax: 1200 } });
  expect(many.warnings.filter((text) => text.startsWith("more than"))).toEqual([
    "more than 298 databases are open at the same time, and the limit of this host is 1200 open descriptors: raise the limit of open files (LimitNOFILE= of systemd, ulimit -n)",
    "more than 300 databases, of 375 at most: raise databases_max in [host], or split the service",
  ]);
});
