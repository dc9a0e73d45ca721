import { expect, test } from "bun:test";
import { allRules } from "../../../src/core/rules.ts";
import type { Predecessor } from "../../../src/host/secondary/follower.ts";
import { waitForLeases } from "../../../src/host/primary/lease-wait.ts";
import type { PredecessorWord } from "../../../src/host/ports/ports.ts";
import { systemClock, type Clock } from "../../../src/runtime/clock.ts";

/** A clock that jumps to the end of each sleep, one sleeper after the other in the order of their ends. */
class SteppedClock implements Clock {
  time = 1_000;
  readonly #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  now(): number {
    return this.time;
  }

  wallTime(): number {
    return this.time;
  }

  setTimer = systemClock.setTimer.bind(systemClock);

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
      this.#sleepers.push({ at: this.time + delayMs, wake: resolve });
    });
  }

  /** Runs until `done` is settled; gives the time at which it was. */
  async runUntilSettled(done: Promise<unknown>): Promise<number> {
    let isSettled = false;
    const settle = (): void => void (isSettled = true);
    done.then(settle, settle);
    for (;;) {
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      if (isSettled) return this.time;
      this.#sleepers.sort((a, b) => a.at - b.at);
      const next = this.#sleepers.shift();
      if (next === undefined) throw new Error("it waits for nothing");
      this.time = Math.max(this.time, next.at);
      next.wake();
    }
  }
}

const lease = (instance: string, lastRecordSeenAt: number, leaseMs = 1_000): Predecessor => ({
  host: instance,
  instance,
  controlUrl: `http://${instance}`,
  leaseMs,
  lastRecordSeenAt,
});

function wait(predecessors: readonly Predecessor[], answers: Readonly<Record<string, PredecessorWord["kind"]>> = {}) {
  const clock = new SteppedClock();
  const asked = new Set<string>();
  const probe = {
    ask: ({ instance }: { readonly instance: string }) => {
      asked.add(instance);
      return Promise.resolve<PredecessorWord>({ kind: answers[instance] ?? "unknown" });
    },
  };
  const done = waitForLeases({
    predecessors,
    instance: "me",
    clock,
    rules: allRules,
    driftMarginMs: 100,
    probe,
    signal: new AbortController().signal,
  });
  return clock.runUntilSettled(done).then((at) => ({ at, asked: [...asked] }));
}

test("with no claim before it, a host serves at once", async () => {
  expect(await wait([])).toEqual({ at: 1_000, asked: [] });
});

test("a silent predecessor is waited for until its lease and the margin are over, and not longer", async () => {
  expect((await wait([lease("a", 900)])).at).toBe(2_000);
  expect(await wait([lease("a", -200)])).toEqual({ at: 1_000, asked: [] });
});

test("a predecessor that is proven gone is not waited for", async () => {
  expect((await wait([lease("a", 900)], { a: "gone" })).at).toBe(1_000);
  expect((await wait([lease("a", 900)], { a: "stepped-down" })).at).toBe(1_000);
});

test("that the last predecessor is gone says nothing about the one before it", async () => {
  expect((await wait([lease("a", 700), lease("b", 950)], { b: "gone" })).at).toBe(1_800);
});

test("the longest of several leases counts, whichever claim it belongs to", async () => {
  expect((await wait([lease("a", 900, 3_000), lease("b", 950)])).at).toBe(4_000);
});

test("its own earlier terms have ended", async () => {
  expect(await wait([lease("me", 999)])).toEqual({ at: 1_000, asked: [] });
});
