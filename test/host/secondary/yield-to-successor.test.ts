import { describe, expect, test } from "bun:test";
import { yieldToSuccessor } from "../../../src/host/secondary/yield-to-successor.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { StoreError } from "../../../src/vault/store/store.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { logIn } from "../../support/vault/log-fixture.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const vacatedAt = 7;

/** How long the wait takes by the clock that moves while it waits, in milliseconds. */
async function waited(
  store: FaultyStore,
  at: (nowMs: number) => void = () => undefined,
  signal = new AbortController().signal,
): Promise<number> {
  const clock = new ManualClock();
  let isOver = false;
  const wait = yieldToSuccessor({ log: logIn(store), clock, vacatedAt, signal }).then(() => (isOver = true));
  while (!isOver) {
    at(clock.now());
    clock.advance(1);
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  }
  await wait;
  return clock.now();
}

describe("a host that yields to its successor", () => {
  test("waits until the term has written after its claim", async () => {
    const store = new FaultyStore(new MemoryStore());
    const put = (position: number): void => void logIn(store.inner).put(position, new Uint8Array([1]));
    const tookMs = await waited(store, (nowMs) => {
      if (nowMs === 100) put(vacatedAt + 1);
      if (nowMs === 300) put(vacatedAt + 2);
    });
    expect(tookMs).toBeGreaterThanOrEqual(300);
    expect(tookMs).toBeLessThan(350);
  });

  test("waits a second at most when no host claims", async () => {
    const tookMs = await waited(new FaultyStore(new MemoryStore()));
    expect(tookMs).toBeGreaterThanOrEqual(1_000);
    expect(tookMs).toBeLessThan(1_020);
  });

  test("waits no longer when the vault does not answer, and when the host is stopped", async () => {
    const store = new FaultyStore(new MemoryStore());
    store.beforeGet = () => Promise.reject(new StoreError("unavailable", "no answer", "Wait."));
    expect(await waited(store)).toBeLessThan(50);
    expect(
      await waited(new FaultyStore(new MemoryStore()), () => undefined, AbortSignal.abort(new Error("stopped"))),
    ).toBeLessThan(50);
  });
});
