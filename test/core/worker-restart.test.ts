import { expect, test } from "bun:test";
import { afterEnd, freshRestart, restartDelayMsMax, wellAfterMs } from "../../src/core/worker-restart.ts";

test("a worker that ended is started again at once, and later each time it ends soon again", () => {
  const delays: number[] = [];
  let state = freshRestart;
  for (let end = 0; end < 10; end++) {
    const next = afterEnd(state, 10);
    state = next.state;
    delays.push(next.delayMs);
  }
  expect(delays).toEqual([0, 50, 100, 200, 400, 800, 1_600, 3_200, restartDelayMsMax, restartDelayMsMax]);
});

test("after a long life its end counts as a first end again", () => {
  const { state, delayMs } = afterEnd({ endsInRow: 7 }, wellAfterMs);
  expect({ state, delayMs }).toEqual({ state: { endsInRow: 1 }, delayMs: 0 });
});
