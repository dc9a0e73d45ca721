import { describe, expect, test } from "bun:test";
import type { DatabaseChecksum } from "../../../src/core/delta.ts";
import type { Flush } from "../../../src/core/flush.ts";
import { type ApplyTarget, Follower } from "../../../src/host/secondary/follower.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { StoreError, type Store } from "../../../src/vault/store/store.ts";
import { claimAs, Pages, readerFromStart } from "../../support/host/log-fixture.ts";

/** Remembers what was applied. */
class Applied implements ApplyTarget {
  readonly flushes: number[][] = [];
  failNext: Error | undefined;

  apply(flush: Flush): Promise<void> {
    const failure = this.failNext;
    this.failNext = undefined;
    if (failure !== undefined) return Promise.reject(failure);
    this.flushes.push(flush.deltas.flatMap((delta) => delta.pages.map(({ content }) => content[0] ?? -1)));
    return Promise.resolve();
  }

  checksums(): ReadonlyMap<string, DatabaseChecksum> {
    return new Map();
  }
}

function follow(store: Store, target: ApplyTarget, clock: Clock = systemClock): Follower {
  return new Follower({
    reader: readerFromStart(store),
    target,
    clock,
    onRecord: () => undefined,
    epochAtStart: undefined,
  });
}

describe("a follower", () => {
  test("applies a flush of several parts with its last part only", async () => {
    const store = new MemoryStore();
    const [writer, pages, target] = [await claimAs(store, "a"), new Pages("a.db"), new Applied()];
    const follower = follow(store, target);
    await writer.append({ kind: "commit", part: 1, parts: 2, databases: [pages.change({ 1: 1 })] });
    await follower.catchUp();
    expect(target.flushes).toEqual([]);
    await writer.append({ kind: "commit", part: 2, parts: 2, databases: [pages.change({ 2: 2 })] });
    await follower.catchUp();
    expect(target.flushes).toEqual([[1, 2]]);
  });

  test("applies a flush later, once, for which the vault did not answer", async () => {
    const store = new MemoryStore();
    const [writer, pages, target] = [await claimAs(store, "a"), new Pages("a.db"), new Applied()];
    const follower = follow(store, target);
    await writer.append({ kind: "commit", part: 1, parts: 2, databases: [pages.change({ 1: 1 })] });
    await writer.append({ kind: "commit", part: 2, parts: 2, databases: [pages.change({ 2: 2 })] });
    for (let time = 0; time < 2; time++) {
      target.failNext = new StoreError("unavailable", "no answer", "wait");
      await expect(follower.catchUp()).rejects.toThrow("no answer");
      expect(target.flushes).toEqual([]);
    }
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 3 })] });
    await follower.catchUp();
    expect(target.flushes).toEqual([[1, 2], [3]]);
  });

  test("drops the parts of a flush that its primary never finished when the next epoch comes", async () => {
    const store = new MemoryStore();
    const target = new Applied();
    const follower = follow(store, target);
    const dead = await claimAs(store, "a");
    await dead.append({ kind: "commit", part: 1, parts: 2, databases: [new Pages("a.db").change({ 1: 1 })] });
    await follower.catchUp();
    const next = await claimAs(store, "b");
    await next.append({ kind: "commit", part: 1, parts: 1, databases: [new Pages("a.db").change({ 1: 7 })] });
    await follower.catchUp();
    expect(target.flushes).toEqual([[7]]);
  });

  test("never continues after a record that it could not apply, whichever caller asks", async () => {
    const store = new MemoryStore();
    const [writer, pages, target] = [await claimAs(store, "a"), new Pages("a.db"), new Applied()];
    const follower = follow(store, target);
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 1 })] });
    target.failNext = new Error("no space left on the disk");
    await expect(follower.catchUp()).rejects.toThrow("no space left");
    // A second promotion would claim on top of a copy that lacks an acknowledged commit.
    await expect(follower.catchUp()).rejects.toThrow("no space left");
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 2: 2 })] });
    await expect(follower.follow(1, new AbortController().signal)).rejects.toThrow("no space left");
    expect(target.flushes).toEqual([]);
  });

  test("looks for what others have changed as long as it follows, and ends with what it finds", async () => {
    const target = Object.assign(new Applied(), {
      looks: 0,
      look(): void {
        if ((this.looks += 1) === 3) throw new Error("another process wrote to a.db");
      },
    });
    const follower = follow(new MemoryStore(), target);
    await expect(follower.follow(1, new AbortController().signal)).rejects.toThrow("another process wrote to a.db");
    expect(target.looks).toBe(3);
    // A promotion would claim on top of it.
    await expect(follower.catchUp()).rejects.toThrow("another process wrote to a.db");
  });

  test("reads a record again that the vault did not give at first", async () => {
    const store = new FaultyStore(new MemoryStore());
    const [writer, pages, target] = [await claimAs(store, "a"), new Pages("a.db"), new Applied()];
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 1 })] });
    const follower = follow(store, target);
    let failures = 1;
    store.beforeGet = (key) =>
      key.startsWith("log/") && failures-- > 0
        ? Promise.reject(new StoreError("unavailable", "no answer", "wait"))
        : Promise.resolve();
    await expect(follower.catchUp()).rejects.toThrow("no answer");
    await follower.catchUp();
    expect(target.flushes).toEqual([[1]]);
  });

  test("stops between two records when it is told to, and loses none", async () => {
    const store = new MemoryStore();
    const [writer, pages, target] = [await claimAs(store, "a"), new Pages("a.db"), new Applied()];
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 1 })] });
    const follower = follow(store, target);
    await expect(follower.catchUp(AbortSignal.abort(new Error("stopped")))).rejects.toThrow("stopped");
    expect(await follower.catchUp()).toBe(2);
    expect(target.flushes).toEqual([[1]]);
  });

  test("applies nothing any more when it has ended, also not what the vault gives to a read in flight", async () => {
    const store = new FaultyStore(new MemoryStore());
    const [writer, pages, target] = [await claimAs(store, "a"), new Pages("a.db"), new Applied()];
    const follower = follow(store, target);
    await follower.catchUp();
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 1 })] });
    const [asked, answer] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    store.beforeGet = () => {
      asked.resolve();
      return answer.promise;
    };
    const reading = follower.catchUp();
    await asked.promise;
    await follower.close(); // The files are a restore's, or a term's, from here on.
    answer.resolve();
    await expect(reading).rejects.toThrow("no longer follows");
    await expect(follower.catchUp()).rejects.toThrow("no longer follows");
    expect(target.flushes).toEqual([]);
  });

  test("has applied what it was applying when it has ended", async () => {
    const store = new MemoryStore();
    const [writer, pages, target] = [await claimAs(store, "a"), new Pages("a.db"), new Applied()];
    const [begun, disk] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow: ApplyTarget = {
      apply: async (flush) => {
        begun.resolve();
        await disk.promise;
        await target.apply(flush);
      },
      checksums: () => target.checksums(),
    };
    const follower = follow(store, slow);
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 1 })] });
    const reading = follower.catchUp();
    await begun.promise;
    const ending = follower.close();
    disk.resolve();
    await ending;
    expect(target.flushes).toEqual([[1]]);
    await expect(reading).rejects.toThrow("no longer follows");
  });

  test("stays where it is while a claim is being decided, whichever caller asks: the claim stands on what was read, applied and seen by then", async () => {
    const store = new MemoryStore();
    const [writer, pages, target] = [await claimAs(store, "a"), new Pages("a.db"), new Applied()];
    const follower = follow(store, target);
    const decided = Promise.withResolvers<void>();
    const claimsAt = Promise.withResolvers<number>();
    const claim = follower.alone(async (catchUp) => {
      await catchUp();
      claimsAt.resolve(follower.reader.position);
      await decided.promise;
      return follower.reader.position;
    });
    const before = await claimsAt.promise;
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 1 })] });
    const second = follower.catchUp();
    await new Promise((resolve) => setImmediate(resolve)); // Time enough to read from memory.
    decided.resolve();
    expect(await claim).toBe(before);
    await second;
    expect(target.flushes).toEqual([[1]]);
  });

  test("knows every claim whose lease may still run: also those before the last, and those whose successor has vacated", async () => {
    const store = new MemoryStore();
    const follower = follow(store, new Applied());
    const waitsFor = async (): Promise<string[]> => {
      await follower.catchUp();
      return follower.predecessors().map(({ instance }) => instance);
    };
    expect(await waitsFor()).toEqual([]);
    await claimAs(store, "a");
    expect(await waitsFor()).toEqual(["a-1"]);
    const b = await claimAs(store, "b");
    expect(await waitsFor()).toEqual(["a-1", "b-1"]);
    await b.append({ kind: "vacate", reason: "never served", successor: undefined });
    expect(await waitsFor()).toEqual(["a-1"]);
    await claimAs(store, "c");
    expect(await waitsFor()).toEqual(["a-1", "c-1"]);
  });

  test("a run that claims again has ended its earlier term: only its last lease counts", async () => {
    const store = new MemoryStore();
    const follower = follow(store, new Applied());
    for (const host of ["a", "b", "a"]) await claimAs(store, host);
    await follower.catchUp();
    expect(follower.predecessors().map(({ instance }) => instance)).toEqual(["b-1", "a-1"]);
  });

  test("counts each lease from the moment at which it first saw the last record of that epoch", async () => {
    const store = new MemoryStore();
    let now = 0;
    const follower = follow(store, new Applied(), { ...systemClock, now: () => now });
    const a = await claimAs(store, "a", { leaseMs: 300 });
    await follower.catchUp();
    now = 100;
    await a.append({ kind: "renew" });
    await follower.catchUp();
    now = 250;
    await claimAs(store, "b", { leaseMs: 500 });
    await follower.catchUp();
    expect(follower.predecessors()).toEqual([
      { host: "a", instance: "a-1", controlUrl: "http://127.0.0.1:9", leaseMs: 300, lastRecordSeenAt: 100 },
      { host: "b", instance: "b-1", controlUrl: "http://127.0.0.1:9", leaseMs: 500, lastRecordSeenAt: 250 },
    ]);
  });
});
