import { expect, test } from "bun:test";
import { allRules } from "../../../src/core/rules.ts";
import { claimEpoch } from "../../../src/host/primary/claim.ts";
import { Follower } from "../../../src/host/secondary/follower.ts";
import type { Clock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { StoreError } from "../../../src/vault/store/store.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { claimAs, readerFromStart } from "../../support/host/log-fixture.ts";

/** Time passes as soon as a caller waits for it. */
function hastyClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    wallTime: () => now,
    setTimer: (delayMs, callback) => {
      const at = now + delayMs;
      let isCancelled = false;
      const look = (): void => {
        if (isCancelled) return;
        if (now >= at) callback();
        else setImmediate(look);
      };
      look();
      return { cancel: () => (isCancelled = true) };
    },
    sleep: async (delayMs, signal) => {
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      now += delayMs;
    },
  };
}

const ports = {
  random: systemRandom,
  rules: allRules,
  host: "b",
  leaseMs: 1_000,
  controlUrl: "http://127.0.0.1:9",
  instance: "b-1",
};

async function followerOf(store: FaultyStore, clock: Clock): Promise<Follower> {
  const target = { apply: () => Promise.resolve(), checksums: () => new Map() };
  const follower = new Follower({
    reader: readerFromStart(store),
    target,
    clock,
    onRecord: () => undefined,
    epochAtStart: undefined,
  });
  await follower.catchUp();
  return follower;
}

test("a claim on a vault that is read-only here is given up after a while, with what the vault said, and the host can follow and claim again", async () => {
  const store = new FaultyStore(new MemoryStore());
  await claimAs(store.inner, "a");
  const clock = hastyClock();
  const follower = await followerOf(store, clock);
  let isReadOnly = true;
  store.beforePut = () =>
    isReadOnly ? Promise.reject(new StoreError("denied", "EROFS", "Mount it read-write.")) : Promise.resolve();
  const failures: string[] = [];
  const claim = () =>
    claimEpoch(follower, { ...ports, clock, overEpoch: 1, onFailure: (error) => failures.push(error.message) });
  expect(await claim()).toEqual({ kind: "unwritten", failure: "EROFS (Mount it read-write.)" });
  expect(clock.now()).toBeGreaterThanOrEqual(10_000);
  expect(failures.length).toBeGreaterThan(1);
  isReadOnly = false;
  expect(await follower.catchUp()).toBe(0);
  expect(await claim()).toMatchObject({ kind: "claimed" });
});

test("a claim that is given up by the host's end rejects with the reason for that", async () => {
  const store = new FaultyStore(new MemoryStore());
  const clock = hastyClock();
  const follower = await followerOf(store, clock);
  store.beforePut = () => Promise.reject(new StoreError("denied", "EROFS", "Mount it read-write."));
  const end = new AbortController();
  const claim = claimEpoch(follower, {
    ...ports,
    clock,
    overEpoch: 0,
    signal: end.signal,
    onFailure: () => end.abort(new Error("the host ends")),
  });
  expect(await claim.catch((error: unknown) => String(error))).toBe("Error: the host ends");
});
