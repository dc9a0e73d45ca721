/** Orders of events in which frames could be lost: each is an attack on the argument in src/capture/pin.ts. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { CaptureError } from "../../src/capture/capture-error.ts";
import { withoutRule } from "../../src/core/rules.ts";
import { Application, Pair, type PairOptions, partsOf, temporaryFolder } from "../support/capture/pair.ts";

async function begin(options: PairOptions = {}) {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  const path = join(folder.path, "app", "app.db");
  const application = new Application();
  await application.open("a", path);
  await application.run(
    "a",
    "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
  );
  const pair = await Pair.open(folder.path, options);
  return {
    path,
    application,
    pair,
    insert: (count = 1, bytes = 3000) =>
      application.run(
        "a",
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<${count}) INSERT INTO t(v) SELECT randomblob(${bytes}) FROM n`,
      ),
    checkpoint: async (mode: string) => (await application.run("a", `PRAGMA wal_checkpoint(${mode})`))[0],
    async expectEqual() {
      await pair.sync();
      expect(pair.copyHash("app.db")).toBe((await application.image("a")).sha256);
    },
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

/** Changes bytes of a file in another process: this one must not open it. */
function poke(path: string, script: string): void {
  const { status, stderr } = spawnSync(process.execPath, [
    "-e",
    `const fs = require("node:fs"); const fd = fs.openSync(${JSON.stringify(path)}, "r+"); ${script}`,
  ]);
  if (status !== 0) throw new Error(stderr.toString());
}

test("frames that are not captured yet survive every kind of checkpoint, which end busy instead", async () => {
  await using it = await begin();
  await it.application.run("a", "PRAGMA busy_timeout=0");
  await it.insert(20);
  for (const mode of ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]) await it.checkpoint(mode);
  expect(statSync(`${it.path}-wal`).size).toBeGreaterThan(20 * 3000);
  await it.insert();
  await it.expectEqual();
});

test("a log that starts over twice between two collections loses nothing, because it cannot", async () => {
  await using it = await begin();
  await it.application.run("a", "PRAGMA busy_timeout=0");
  await it.insert(5);
  await it.pair.sync();
  await it.pair.serveUntil(it.checkpoint("PASSIVE"));
  await it.pair.source.tick();
  // The pin is on slot 0 now: this commit starts the log over.
  await it.insert();
  expect(await it.checkpoint("TRUNCATE")).toMatchObject({ busy: 1 });
  await it.insert();
  expect(await it.checkpoint("RESTART")).toMatchObject({ busy: 1 });
  await it.insert();
  await it.expectEqual();
});

test("empty generations of the log may follow each other while nothing is collected", async () => {
  await using it = await begin();
  await it.insert(5);
  await it.pair.sync();
  await it.pair.serveUntil(it.checkpoint("TRUNCATE"));
  for (let i = 0; i < 5; i++)
    expect(await it.checkpoint(i % 2 === 0 ? "TRUNCATE" : "RESTART")).toMatchObject({ busy: 0 });
  await it.insert(3);
  await it.expectEqual();
  for (let i = 0; i < 3; i++) await it.pair.serveUntil(it.checkpoint("TRUNCATE"));
  await it.expectEqual();
});

test("FULL, RESTART and TRUNCATE checkpoints of the application get through, though the pin stood in their way", async () => {
  await using it = await begin();
  for (const mode of ["FULL", "RESTART", "TRUNCATE", "TRUNCATE", "FULL", "RESTART"]) {
    await it.insert(10);
    expect(await it.pair.serveUntil(it.checkpoint(mode))).toMatchObject({ busy: 0 });
  }
  await it.expectEqual();
});

test("a large batch can be read until it is done, whatever the application does meanwhile", async () => {
  await using it = await begin({ limits: { eagerBytesMax: 0 } });
  await it.application.run("a", "PRAGMA busy_timeout=0");
  await it.insert(50);
  const batch = await it.pair.source.collect();
  for (let i = 0; i < 5; i++) {
    await it.pair.source.tick();
    await it.checkpoint("TRUNCATE");
    await it.application.run("a", "UPDATE t SET v = randomblob(3000)");
  }
  await it.pair.applyBatch(batch);
  expect(it.pair.replica.checksums().get("app.db")).not.toEqual(it.pair.source.checksums().get("missing"));
  await it.expectEqual();
});

test("without the rule on the order of pins the same large batch is lost", async () => {
  await using it = await begin({ limits: { eagerBytesMax: 0 }, rules: withoutRule("pin-order") });
  await it.application.run("a", "PRAGMA busy_timeout=0");
  await it.insert(50);
  const batch = await it.pair.source.collect();
  for (let i = 0; i < 3; i++) {
    await it.checkpoint("TRUNCATE");
    await it.application.run("a", "UPDATE t SET v = randomblob(2000)");
  }
  await expect(it.pair.applyBatch(batch)).rejects.toThrow();
});

test("a reader of the application holds the backfill back; the log is short again when it is gone", async () => {
  await using it = await begin({ limits: { walTidyBytes: 50_000, walSealBytes: 50_000, sealRetryMsMax: 1 } });
  await it.application.open("reader", it.path);
  await it.application.run("reader", "BEGIN; SELECT count(*) FROM t");
  for (let i = 0; i < 30; i++) {
    await it.insert(5);
    await it.pair.sync();
    await it.pair.source.tick();
  }
  const long = statSync(`${it.path}-wal`).size;
  expect(long).toBeGreaterThan(300_000);
  await it.application.run("reader", "ROLLBACK");
  for (let i = 0; i < 30; i++) {
    await it.insert(5);
    await it.pair.sync();
    await it.pair.source.tick();
  }
  // The file keeps its length, but its frames are written from the start again.
  expect(statSync(`${it.path}-wal`).size).toBeLessThanOrEqual(long + 200_000);
  await it.expectEqual();
});

test("a log that no application checkpoints stays short, for writers that leave gaps and while they write", async () => {
  await using it = await begin({ limits: { walTidyBytes: 50_000, walSealBytes: 50_000 } });
  for (let i = 0; i < 100; i++) {
    const written = it.insert(10);
    await it.pair.serveUntil(written);
  }
  expect(statSync(`${it.path}-wal`).size).toBeLessThan(400_000);
  await it.expectEqual();
});

test("an index that a dead writer left torn is repaired, and what it committed is collected", async () => {
  await using it = await begin();
  await it.insert(3);
  // As if the writer had died between the two copies of the header: copy 1 is older than copy 2.
  poke(
    `${it.path}-shm`,
    "const b = Buffer.alloc(4); fs.readSync(fd, b, 0, 4, 16); b.writeUInt32LE(b.readUInt32LE() - 1); fs.writeSync(fd, b, 0, 4, 16);",
  );
  expect(it.pair.source.isAhead()).toBe(true);
  await it.pair.sync();
  expect(it.pair.source.isAhead()).toBe(false);
  await it.expectEqual();
  await it.insert(3);
  await it.expectEqual();
});

test("index recovery while everything is backfilled and pinned on slot 0 loses nothing", async () => {
  await using it = await begin();
  await it.insert(5);
  await it.pair.sync();
  await it.pair.serveUntil(it.checkpoint("PASSIVE"));
  await it.pair.source.tick();
  poke(`${it.path}-shm`, "fs.writeSync(fd, Buffer.from([1, 2, 3, 4]), 0, 4, 40);");
  await it.insert(2);
  await it.expectEqual();
  for (let i = 0; i < 3; i++) {
    expect(await it.pair.serveUntil(it.checkpoint("TRUNCATE"))).toMatchObject({ busy: 0 });
    await it.insert(2);
  }
  await it.expectEqual();
});

test("a byte flipped in a frame that was not captured ends capture permanently, with advice", async () => {
  await using it = await begin();
  await it.insert(5);
  poke(
    `${it.path}-wal`,
    `const b = Buffer.alloc(1); const at = ${32 + 24 + 100}; fs.readSync(fd, b, 0, 1, at); b[0] ^= 1; fs.writeSync(fd, b, 0, 1, at);`,
  );
  // Frame 1 was captured with the base when it was in the log then; flip the last page as well.
  poke(
    `${it.path}-wal`,
    "const size = fs.fstatSync(fd).size; const b = Buffer.alloc(1); fs.readSync(fd, b, 0, 1, size - 50); b[0] ^= 1; fs.writeSync(fd, b, 0, 1, size - 50);",
  );
  const error: unknown = await it.pair.source.collect().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(CaptureError);
  expect((error as CaptureError).kind).toBe("continuity");
  expect((error as CaptureError).advice.length).toBeGreaterThan(20);
  expect(() => it.pair.source.isAhead()).toThrow(CaptureError);
  await expect(it.pair.source.collect()).rejects.toThrow(CaptureError);
});

test("a commit between two collections is in exactly one batch", async () => {
  await using it = await begin();
  const rows: number[] = [];
  for (let i = 0; i < 5; i++) {
    await it.insert();
    const batch = await it.pair.source.collect();
    if (batch === undefined) throw new Error("nothing");
    rows.push(partsOf(batch).flat().length);
    await it.pair.applyBatch(batch);
    expect(await it.pair.source.collect()).toBeUndefined();
  }
  expect(rows).toEqual([1, 1, 1, 1, 1]);
});
