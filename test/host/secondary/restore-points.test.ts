import type { HistoryRule } from "../../../src/core/checkpoint-history.ts";
import { beforeEach, expect, test } from "bun:test";
import { readEveryMs, RestorePointReader } from "../../../src/host/secondary/restore-points.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { checkpointKey } from "../../../src/vault/keys.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { logIn, Pages, zeros } from "../../support/host/log-fixture.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

let store: MemoryStore;
let clock: ManualClock;
let boundary: number;
let newest: { position: number; ageMs: number } | undefined;

beforeEach(() => {
  store = new MemoryStore();
  clock = new ManualClock();
  clock.advance(60_000);
  boundary = 0;
  newest = undefined;
});

/** Counts what is read of the vault. */
function readerOf() {
  const reads: string[] = [];
  const counting = new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (name === "get") reads.push(String(args[0]));
        return (value as (...given: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  const vaultLog = new Proxy(logIn(store), {
    get: (target, name) =>
      name === "boundary" ? () => Promise.resolve(boundary) : (Reflect.get(target, name) as unknown),
  });
  const reader = new RestorePointReader({
    ...{ store: counting, vaultLog, clock, newest: () => newest },
    policy: () => ({ checkpointsMin: 2, windowMs: 5_000 }),
  });
  return { reader, reads };
}

const checkpoint = (position: number, wallTimeMs: number, history: readonly HistoryRule[] = []) =>
  writeCheckpoint({
    history,
    ...{ store, position, hash: zeros, epoch: position === 0 ? 0 : 1, epochPosition: 0, wallTimeMs },
    databases: [new Pages("a.db").snapshot(), new Pages("b.db").snapshot()],
  });

test("an empty vault has no restore point", async () => {
  expect(await readerOf().reader.read()).toEqual({
    ...{ total: 0, checkpoints: [], damaged: [], earliest: null, older: [], latest: null },
    keep: { checkpoints: 2, windowMs: 5_000 },
  });
});

test("tells those below the boundary that the newest checkpoint names, as far as they are there", async () => {
  const history = [{ everyMs: 10, forMs: 1_000 }];
  for (let at = 0; at < 6; at++) await checkpoint(at * 10, 1_000 + at * 10, history);
  await store.delete(checkpointKey(10));
  boundary = 30;
  const { older, total, earliest } = await readerOf().reader.read();
  expect(older).toEqual([
    { position: 20, wallTimeMs: 1_020 },
    { position: 0, wallTimeMs: 1_000 },
  ]);
  expect([total, earliest]).toEqual([3, { position: 30, wallTimeMs: 1_030 }]);
});

test("tells the newest checkpoints with size, and the first and last moment", async () => {
  const made = await checkpoint(0, 1_000);
  for (let at = 1; at <= 30; at++) await checkpoint(at * 10, 1_000 + at);
  newest = { position: 342, ageMs: 250 };
  const { reader, reads } = readerOf();
  const points = await reader.read();
  const bytes = made.manifest.databases.reduce((sum, { pageSize, pageCount }) => sum + pageSize * pageCount, 0);
  expect(points.checkpoints[0]).toEqual({ position: 300, wallTimeMs: 1_030, databases: 2, bytes });
  expect(points.checkpoints.map(({ position }) => position)).toEqual(
    Array.from({ length: 20 }, (_, index) => 300 - index * 10),
  );
  expect([points.total, points.earliest, points.latest]).toEqual([
    31,
    { position: 0, wallTimeMs: 1_000 },
    { position: 342, wallTimeMs: 59_750 },
  ]);
  // Those that it lists, and the first one.
  expect(reads.length).toBe(21);
});

test("below the retention boundary nothing can be restored, although a manifest may still be there", async () => {
  for (const position of [10, 20, 30]) await checkpoint(position, 1_000 + position);
  boundary = 20;
  const { total, earliest, checkpoints } = await readerOf().reader.read();
  expect([total, earliest?.position, checkpoints.map(({ position }) => position)]).toEqual([2, 20, [30, 20]]);
});

test("a damaged manifest is named, and counts as no restore point", async () => {
  for (const position of [10, 20, 30]) await checkpoint(position, 1_000 + position);
  for (const position of [10, 30]) {
    await store.delete(checkpointKey(position));
    await store.putIfAbsent(checkpointKey(position), Buffer.from("not a manifest"));
  }
  const { total, earliest, checkpoints, damaged } = await readerOf().reader.read();
  expect([total, earliest?.position, checkpoints.length, damaged]).toEqual([1, 20, 1, [30, 10]]);
});

test("an answer stands for a while, and a manifest is read once", async () => {
  await checkpoint(10, 1_000);
  const { reader, reads } = readerOf();
  await Promise.all([reader.read(), reader.read()]);
  await checkpoint(20, 2_000);
  clock.advance(readEveryMs - 1);
  expect((await reader.read()).total).toBe(1);
  clock.advance(1);
  expect((await reader.read()).total).toBe(2);
  expect(reads).toEqual([checkpointKey(10), checkpointKey(20)]);
});
