/** Writers in a closed loop, in manual time: how many of them each flush carries. */
import { describe, expect, test } from "bun:test";
import { FlushGroup } from "../../../src/host/primary/flush-group.ts";
import { type Deferred, newDeferred } from "../../../src/runtime/deferred.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

interface Load {
  readonly writers: number;
  /** From an answer to the next commit of the same writer. */
  readonly thinkMs: (writer: number) => number;
  readonly putMs: number;
  /** False: without the group. */
  readonly waits: boolean;
}

/** What happens in ten seconds of one flush after another. */
async function run({ writers, thinkMs, putMs, waits }: Load): Promise<{ writes: number; flushes: number }> {
  const clock = new ManualClock();
  const group = new FlushGroup(clock);
  let [writes, flushes, waiting] = [0, 0, 0];
  let next = newDeferred();
  let wake: Deferred | undefined;
  const writer = async (index: number): Promise<void> => {
    for (;;) {
      await clock.sleep(thinkMs(index));
      group.join("next");
      waiting += 1;
      wake?.resolve();
      await next.promise;
      writes += 1;
    }
  };
  const journal = async (): Promise<void> => {
    for (;;) {
      const waitMs = waits ? group.waitMs() : 0;
      wake = newDeferred();
      if (waitMs > 0) {
        const timer = clock.setTimer(waitMs, wake.resolve);
        await wake.promise;
        timer.cancel();
        continue;
      }
      if (waiting === 0) {
        await wake.promise;
        continue;
      }
      const released = next;
      [next, waiting] = [newDeferred(), 0];
      await group.during(() => clock.sleep(putMs));
      flushes += 1;
      released.resolve();
    }
  };
  for (let index = 0; index < writers; index += 1) void writer(index);
  void journal();
  for (let ms = 0; ms < 10_000; ms += 0.25) {
    clock.advance(0.25);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { writes, flushes };
}

describe("sixteen writers whose puts take 10 ms", () => {
  const load = { writers: 16, thinkMs: (writer: number) => 0.5 + writer / 16, putMs: 10 };

  test("leave together: more than 15 in a flush, where it is 8 without the wait", async () => {
    const [alone, together] = [await run({ ...load, waits: false }), await run({ ...load, waits: true })];
    expect(alone.writes / alone.flushes).toBeCloseTo(8, 0);
    expect(together.writes / together.flushes).toBeGreaterThan(15);
    expect(together.writes / alone.writes).toBeGreaterThan(1.6);
  });

  test("that come back later than a wait lose little by it", async () => {
    const late = { ...load, thinkMs: (writer: number) => 60 + 7 * writer };
    const [alone, together] = [await run({ ...late, waits: false }), await run({ ...late, waits: true })];
    expect(together.writes / alone.writes).toBeGreaterThan(0.98);
  });
});

test("one writer never waits for others", async () => {
  const load = { writers: 1, thinkMs: () => 0.5, putMs: 10 };
  const [alone, together] = [await run({ ...load, waits: false }), await run({ ...load, waits: true })];
  expect(together.writes).toBe(alone.writes);
});
