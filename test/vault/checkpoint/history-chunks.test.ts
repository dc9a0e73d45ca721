import { expect, test } from "bun:test";
import { allRules } from "../../../src/core/rules.ts";
import { type CheckpointManifest, writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { noCompression } from "../../../src/vault/checkpoint/chunk-codec.ts";
import { HistoryChunks } from "../../../src/vault/checkpoint/history-chunks.ts";
import { collectGarbage } from "../../../src/vault/checkpoint/retention.ts";
import { checkpointKey } from "../../../src/vault/keys.ts";
import { Boundary } from "../../../src/vault/log/boundary.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { verifyCheckpoints } from "../../../src/vault/verify/verify-checkpoints.ts";
import { PageDatabase } from "../../support/vault/checkpoint-fixture.ts";
import { MemoryFiles } from "../../support/vault/files-fixture.ts";
import { logIn } from "../../support/vault/log-fixture.ts";

const everySecond = [{ everyMs: 1_000, forMs: 1_000_000 }];

/** Counts what is read of it. */
class CountingStore extends MemoryStore {
  readonly reads: string[] = [];

  override get(...[key, ...rest]: Parameters<MemoryStore["get"]>): ReturnType<MemoryStore["get"]> {
    this.reads.push(key);
    return super.get(key, ...rest);
  }
}

/** Checkpoints at these positions, a second apart, each with another page and another file than those before. */
async function checkpointsAt(store: MemoryStore, positions: readonly number[]): Promise<CheckpointManifest[]> {
  const database = new PageDatabase("app.db", 300, 4096);
  const manifests: CheckpointManifest[] = [];
  for (const position of positions) {
    database.stamp(1 + position, position);
    const files = new MemoryFiles();
    files.put("uploads/large", Buffer.alloc(300_000, position), position);
    files.put("uploads/small", `at ${position}`, position);
    const { manifest } = await writeCheckpoint({
      ...{ store, position, hash: "ab".repeat(32), epoch: 1, wallTimeMs: 1_000 * position, databases: [database] },
      ...{ files, compression: noCompression, history: everySecond },
    });
    manifests.push(manifest);
  }
  return manifests;
}

const newestOf = (manifests: readonly CheckpointManifest[]): CheckpointManifest => {
  const newest = manifests.at(-1);
  if (newest === undefined) throw new Error("no checkpoint");
  return newest;
};

const clean = (store: MemoryStore, newest: CheckpointManifest, history: HistoryChunks) =>
  collectGarbage({
    ...{ store, log: logIn(store), newest, logPosition: newest.position, rules: allRules, history },
    ...{ policy: { checkpointsMin: 1, windowMs: 0, history: everySecond }, nowMs: newest.wallTimeMs },
  });

test("clean-up leaves what older checkpoints need, databases and files, and reads each of them once", async () => {
  const [store, history] = [new CountingStore(), new HistoryChunks()];
  const manifests = await checkpointsAt(store, [10, 20, 30, 40]);
  const { plan, chunks } = await clean(store, newestOf(manifests), history);
  expect([plan.kept, plan.boundary, chunks]).toEqual([[10, 20, 30, 40], 40, []]);
  const { findings, checkpoints } = await verifyCheckpoints(store);
  expect([findings, checkpoints.every(({ whole }) => whole)]).toEqual([[], true]);
  // As after records were removed: the others are known by the history of the newest alone.
  await new Boundary(store).raise(40);
  store.reads.length = 0;
  expect((await clean(store, newestOf(manifests), history)).plan.kept).toEqual([10, 20, 30, 40]);
  expect(store.reads.filter((key) => key.startsWith("checkpoints/"))).toEqual([10, 20, 30].map(checkpointKey));
  store.reads.length = 0;
  expect((await clean(store, newestOf(manifests), history)).plan.kept).toEqual([10, 20, 30, 40]);
  expect(store.reads.filter((key) => key.startsWith("checkpoints/"))).toEqual([]);
});

test("one that is damaged, gone or another is not kept, and its chunks go", async () => {
  const store = new MemoryStore();
  const manifests = await checkpointsAt(store, [10, 20, 30]);
  const newest = newestOf(manifests);
  await clean(store, newest, new HistoryChunks());
  const [first, second] = newest.history ?? [];
  if (first === undefined || second === undefined) throw new Error("no history");
  const history = new HistoryChunks();
  expect(await history.of(store, { ...first, manifestHash: second.manifestHash })).toBeUndefined();
  expect(await history.of(store, { ...first, position: 15 })).toBeUndefined();
  store.overwrite(checkpointKey(10), Buffer.from("not a manifest"));
  const { plan, chunks, checkpoints } = await clean(store, newest, history);
  expect([plan.kept, checkpoints]).toEqual([[20, 30], [checkpointKey(10)]]);
  expect(chunks.length).toBeGreaterThan(0);
  expect((await verifyCheckpoints(store)).findings).toEqual([]);
});

test("what leaves the history is forgotten, and read again if it comes back", async () => {
  const store = new CountingStore();
  const newest = newestOf(await checkpointsAt(store, [10, 20, 30]));
  const [first, second] = newest.history ?? [];
  if (first === undefined || second === undefined) throw new Error("no history");
  const history = new HistoryChunks();
  const keys = await history.of(store, first);
  await history.of(store, second);
  await history.keepOnly([second]);
  store.reads.length = 0;
  await history.of(store, second);
  expect(store.reads).toEqual([]);
  expect(await history.of(store, first)).toEqual(keys);
  expect(store.reads[0]).toBe(checkpointKey(10));
});
