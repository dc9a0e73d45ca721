import { describe, expect, test } from "bun:test";
import { TimedStore } from "../../../src/host/machine/timed-store.ts";
import { systemClock, type Clock } from "../../../src/runtime/clock.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { StoreError } from "../../../src/vault/store/store.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { describeStoreContract } from "../../support/vault/store-contract.ts";

const bytes = new Uint8Array([1, 2, 3]);

/** Every time-out is over when the test says so. */
class Timeouts implements Clock {
  #timers = new Set<() => void>();
  now = (): number => systemClock.now();
  wallTime = (): number => systemClock.wallTime();
  sleep: Clock["sleep"] = (delayMs, signal) => systemClock.sleep(delayMs, signal);

  setTimer(_delayMs: number, callback: () => void): { cancel: () => void } {
    this.#timers.add(callback);
    return { cancel: () => void this.#timers.delete(callback) };
  }

  get running(): number {
    return this.#timers.size;
  }

  pass(): void {
    for (const timer of this.#timers) timer();
    this.#timers.clear();
  }
}

async function failureOf(work: Promise<unknown>): Promise<StoreError> {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(failure instanceof StoreError)) throw new Error(`no StoreError: ${String(failure)}`);
  return failure;
}

function setUp(): {
  store: TimedStore;
  inner: FaultyStore;
  clock: Timeouts;
  hang: ReturnType<typeof Promise.withResolvers<void>>;
} {
  const [inner, clock, hang] = [new FaultyStore(new MemoryStore()), new Timeouts(), Promise.withResolvers<void>()];
  return { store: new TimedStore(inner, clock, 5000), inner, clock, hang };
}

describeStoreContract("a store with a time limit", () => {
  const inner = new MemoryStore();
  const store = new TimedStore(inner, systemClock, 60_000);
  return Promise.resolve({ store, other: inner, dispose: () => Promise.resolve() });
});

describe("a store with a time limit", () => {
  test("passes on what the store says, and leaves no timer", async () => {
    const { store, clock } = setUp();
    expect(await store.putIfAbsent("log/1", bytes)).toEqual({ kind: "created" });
    expect(await store.get("log/1")).toEqual(bytes);
    expect(await store.list("log/")).toEqual(["log/1"]);
    await store.delete("log/1");
    expect(await store.get("log/1")).toBeUndefined();
    expect(clock.running).toBe(0);
  });

  test("calls a put that does not return ambiguous, and a look-up unavailable", async () => {
    const { store, inner, clock, hang } = setUp();
    inner.beforePut = inner.beforeGet = () => hang.promise;
    const [put, get] = [failureOf(store.putIfAbsent("log/1", bytes)), failureOf(store.get("log/1"))];
    clock.pass();
    expect((await put).kind).toBe("ambiguous");
    expect((await get).kind).toBe("unavailable");
    expect((await put).message).toContain("no answer within 5000 ms");
    hang.resolve();
  });

  test("does not ask for the same key again until the call that hangs has returned", async () => {
    const { store, inner, clock, hang } = setUp();
    inner.beforePut = () => hang.promise;
    const first = failureOf(store.putIfAbsent("log/1", bytes));
    clock.pass();
    await first;
    const second = failureOf(store.putIfAbsent("log/1", bytes));
    clock.pass();
    await second;
    expect(inner.puts).toEqual(["log/1"]);
    const third = store.putIfAbsent("log/1", bytes);
    hang.resolve();
    // The first took effect late; the repetition finds it, and its caller compares.
    expect(await third).toEqual({ kind: "exists" });
  });

  test("gives a look-up only an answer that was asked for after it began", async () => {
    const { store, inner, clock, hang } = setUp();
    inner.beforeGet = () => hang.promise;
    const early = failureOf(store.get("log/1"));
    clock.pass();
    await early;
    const late = store.get("log/1");
    await inner.inner.putIfAbsent("log/1", bytes);
    hang.resolve();
    expect(await late).toEqual(bytes);
  });

  test("is not held up by another key that hangs", async () => {
    const { store, inner, clock, hang } = setUp();
    inner.beforePut = (key) => (key === "log/1" ? hang.promise : Promise.resolve());
    const stuck = failureOf(store.putIfAbsent("log/1", bytes));
    clock.pass();
    await stuck;
    expect(await store.putIfAbsent("log/2", bytes)).toEqual({ kind: "created" });
    hang.resolve();
  });
});
