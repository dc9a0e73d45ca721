import { expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Batch } from "../../src/capture/batch.ts";
import { CaptureError } from "../../src/capture/capture-error.ts";
import { FrameStream, planFrames } from "../../src/capture/frame-stream.ts";
import { frameBytes, frameOffset } from "../../src/capture/wal-frames.ts";
import type { WalIndex } from "../../src/capture/wal-index.ts";
import type { DatabaseDelta } from "../../src/core/delta.ts";
import { EventLoopBudget } from "../../src/runtime/event-loop-budget.ts";
import {
  framesOf,
  madeFrameBytes,
  madePageBytes,
  madeSalt1,
  madeSalt2,
  madeSeed,
} from "../support/capture/made-frames.ts";
import { Application, Pair, partsOf, temporaryFolder } from "../support/capture/pair.ts";

const pageSize = 4096;
const many = (count: number): string =>
  `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${count}) INSERT INTO t(v) SELECT randomblob(3900) FROM n`;

/** Every transaction counts as a large one. */
async function begin() {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const application = new Application();
  await application.open("a", join(root, "app.db"));
  await application.run(
    "a",
    `PRAGMA page_size=${pageSize}; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(id INTEGER PRIMARY KEY, v); PRAGMA cache_size=10; PRAGMA busy_timeout=0`,
  );
  const pair = await Pair.open(folder.path, { limits: { eagerBytesMax: 0, partBytesMax: 50_000, walTidyBytes: 1 } });
  return {
    root,
    application,
    pair,
    collect: async (): Promise<Batch> => {
      const batch = await pair.source.collect();
      if (batch === undefined) throw new Error("nothing was collected");
      return batch;
    },
    isSame: async (): Promise<void> => expect(pair.copyHash("app.db")).toBe((await application.image("a")).sha256),
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

/** Writes into a file as another process. */
function overwrite(path: string, offset: number, bytes: number): void {
  // Every bit is another one afterwards: a random byte would now and then be the one that is there.
  const script = `const fs = require("node:fs"); const [path, offset, bytes] = process.argv.slice(-3);
    const fd = fs.openSync(path, "r+"); const found = Buffer.alloc(Number(bytes));
    fs.readSync(fd, found, 0, found.length, Number(offset));
    fs.writeSync(fd, found.map((byte) => byte ^ 0xff), 0, found.length, Number(offset));`;
  const { exitCode, stderr } = Bun.spawnSync([process.execPath, "-e", script, path, String(offset), String(bytes)]);
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
}

test("the captured state advances with the last part, and responses are held until then", async () => {
  await using it = await begin();
  await it.application.run("a", many(100));
  const before = it.pair.source.checksums().get("app.db");
  const batch = await it.collect();
  const taken: (readonly DatabaseDelta[])[] = [];
  for (const part of batch.parts()) {
    taken.push(part);
    expect(it.pair.source.isAhead()).toBe(taken.length < batch.partCount);
    expect(Buffer.from(it.pair.source.checksums().get("app.db") ?? []).equals(before ?? new Uint8Array())).toBe(
      taken.length < batch.partCount,
    );
    await it.pair.source.tick();
  }
  expect(taken.length).toBeGreaterThan(5);
  await it.pair.replica.apply({ deltas: taken.flat() });
  batch.done();
  await it.isSame();
});

test("pages that one transaction writes again and again are put once, with their last content", async () => {
  await using it = await begin();
  await it.application.run("a", many(60));
  await it.pair.sync();
  await it.application.run(
    "a",
    `BEGIN; ${Array.from({ length: 6 }, () => "UPDATE t SET v=randomblob(3900)").join("; ")}; COMMIT`,
  );
  const batch = await it.collect();
  const parts = partsOf(batch);
  const pages = parts.flat().flatMap((delta) => delta.pages.map(({ number }) => number));
  expect(new Set(pages).size).toBe(pages.length);
  expect(pages.length).toBe(batch.pageCount);
  expect(pages.length).toBeLessThan(100);
  await it.pair.applyBatch(batch);
  await it.isSame();
});

test("a transaction that shrinks the database is taken without the pages that it cuts off, also those that it wrote", async () => {
  await using it = await begin();
  await it.application.run("a", many(200));
  await it.pair.sync();
  for (const sql of [
    "UPDATE t SET v=randomblob(3900); DELETE FROM t WHERE id>5; VACUUM",
    many(150),
    "DELETE FROM t; VACUUM",
  ]) {
    await it.application.run("a", sql);
    await it.pair.sync();
    await it.isSame();
  }
});

test("checkpoints of the application, further commits and rollbacks while the parts are taken change nothing of them", async () => {
  await using it = await begin();
  await it.application.run("a", many(150));
  const image = await it.application.image("a");
  const batch = await it.collect();
  const taken: (readonly DatabaseDelta[])[] = [];
  const steps = [
    "PRAGMA wal_checkpoint(PASSIVE)",
    "UPDATE t SET v=randomblob(3000) WHERE id<50",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    `BEGIN; ${many(100)}; ROLLBACK`,
    "PRAGMA wal_checkpoint(RESTART)",
    many(20),
  ];
  for (const part of batch.parts()) {
    taken.push(part);
    const step = steps.shift();
    if (step !== undefined) await it.application.run("a", step);
    await it.pair.source.tick();
  }
  expect(steps).toEqual([]);
  await it.pair.replica.apply({ deltas: taken.flat() });
  batch.done();
  expect(it.pair.copyHash("app.db")).toBe(image.sha256);
  await it.pair.settle();
  await it.isSame();
});

test("a whole generation of the log that follows another one is taken from its first frame", async () => {
  await using it = await begin();
  await it.application.run("a", many(50));
  await it.pair.sync();
  for (let i = 0; i < 20; i++) await it.pair.source.tick();
  await it.application.run("a", "PRAGMA wal_checkpoint(PASSIVE)");
  for (let i = 0; i < 20; i++) await it.pair.source.tick();
  await it.application.run("a", many(100));
  await it.pair.sync();
  await it.isSame();
});

for (const [what, offset] of [
  ["page", 24 + 100],
  ["page number", 3],
  ["salt", 8],
  ["checksum", 17],
] as const) {
  for (const when of ["before", "after"] as const) {
    test(`a frame whose ${what} something else writes over ${when} the parts are planned ends the capture before the last part can be put`, async () => {
      await using it = await begin();
      await it.application.run("a", many(100));
      const before = it.pair.source.checksums();
      const spoil = (): void => overwrite(join(it.root, "app.db-wal"), frameOffset(80, pageSize) + offset, 1);
      let parts = 0;
      const takeAll = async (): Promise<void> => {
        if (when === "before") spoil();
        const batch = await it.collect();
        if (when === "after") spoil();
        for (const _ of batch.parts()) expect((parts += 1)).toBeLessThan(batch.partCount);
      };
      const failure = await takeAll().then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure).toBeInstanceOf(CaptureError);
      expect(it.pair.source.checksums()).toEqual(before);
    });
  }
}

test("a last frame that is written over, and a truncated log, end the capture as well", async () => {
  for (const spoil of [
    (wal: string, frames: number) => overwrite(wal, frameOffset(frames, pageSize) + 500, 4),
    (wal: string, frames: number) => Bun.spawnSync(["truncate", "-s", String(frameOffset(frames, pageSize)), wal]),
  ]) {
    await using it = await begin();
    await it.application.run("a", many(100));
    const before = it.pair.source.checksums();
    const batch = await it.collect();
    const wal = join(it.root, "app.db-wal");
    const frames = Math.floor(Bun.file(wal).size / frameBytes(pageSize));
    spoil(wal, frames);
    expect(() => partsOf(batch)).toThrow(CaptureError);
    expect(it.pair.source.checksums()).toEqual(before);
  }
});

test("two databases in one flush are both taken whole", async () => {
  await using it = await begin();
  await it.application.open("b", join(it.root, "other.db"));
  await it.application.run("b", "PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
  await it.pair.settle();
  await it.application.run("a", many(40));
  await it.application.run("b", many(30));
  await it.pair.sync();
  await it.isSame();
  expect(it.pair.copyHash("other.db")).toBe((await it.application.image("b")).sha256);
});

test("frames behind that of the last page are proved too, where the commit cuts their pages off; one that was not taken is refused", async () => {
  using folder = temporaryFolder();
  const walFd = openSync(join(folder.path, "log"), "w+");
  try {
    const frames = framesOf(
      [1, 2, 3].map((fill) => new Uint8Array(madePageBytes).fill(fill)),
      2,
    );
    // Behind a frame that is captured.
    writeSync(walFd, frames, 0, frames.length, frameOffset(2, madePageBytes));
    const last = new DataView(frames.buffer, 2 * madeFrameBytes);
    const salts = { salt1: madeSalt1, salt2: madeSalt2 };
    const from = { ...salts, mxFrame: 1, checksum1: madeSeed.s1, checksum2: madeSeed.s2 };
    const to: WalIndex = {
      ...{ ...salts, mxFrame: 4, checksum1: last.getUint32(16), checksum2: last.getUint32(20) },
      ...{ pageCount: 2, pageSize: madePageBytes, bigEndian: false, nBackfill: 0, nBackfillAttempted: 0 },
    };
    const range = { name: "app.db", walFd, from, to };
    const plan = await planFrames(range, new EventLoopBudget());
    expect([...plan]).toEqual([
      [1, 2],
      [2, 3],
    ]);
    const proved: number[] = [];
    const stream = new FrameStream(range, plan, (hashes) => proved.push(hashes.size));
    expect(stream.take([1, 2]).map(([first]) => first)).toEqual([1, 2]);
    stream.verifyEnd();
    expect(proved).toEqual([2]);
    const partly = new FrameStream(range, plan, (hashes) => proved.push(hashes.size));
    partly.take([1]);
    expect(() => partly.verifyEnd()).toThrow(CaptureError);
    expect(proved).toEqual([2]);
  } finally {
    closeSync(walFd);
  }
});
