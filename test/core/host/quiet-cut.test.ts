import { expect, test } from "bun:test";
import {
  firstQuietCut,
  isLeftAlone,
  mayHandOver,
  onAnswer,
  onWaited,
  type QuietCut,
  quietWaitMs,
} from "../../../src/core/host/quiet-cut.ts";

const after = (state: QuietCut, answers: number): QuietCut =>
  Array.from({ length: answers }).reduce<QuietCut>((now) => onAnswer(now), state);

test("a flush waits for twice as long as one takes, within 10 and 100 ms", () => {
  expect([0, 2, 6, 12, 80].map(quietWaitMs)).toEqual([10, 10, 12, 24, 100]);
});

test("the window grows with each answer until a wait finds no quiet, and slowly from half of it on", () => {
  const grown = after(firstQuietCut, 12);
  expect([mayHandOver(grown, 15), mayHandOver(grown, 16)]).toEqual([true, false]);
  const halved = onWaited(grown, 10, false);
  expect([halved.window, mayHandOver(halved, 4), mayHandOver(halved, 5)]).toEqual([5, true, false]);
  expect([Math.floor(after(halved, 200).window), Math.floor(after(halved, 300).window)]).toEqual([5, 6]);
  expect(onWaited(halved, 3, true).window).toBe(5);
});

test("an application that is not quiet in time with one request is left alone, for longer each time", () => {
  let state = firstQuietCut;
  const skipped: number[] = [];
  for (let time = 1; time <= 8; time++) {
    state = onWaited(state, 1, false);
    expect(mayHandOver(state, 1_000)).toBe(true);
    let skips = 0;
    for (; isLeftAlone(state); skips++) state = onWaited(state, 0, true);
    skipped.push(skips);
  }
  expect(skipped).toEqual([8, 16, 32, 64, 128, 256, 512, 1024]);
  expect(state.window).toBe(firstQuietCut.window);
  expect(onWaited(state, 1, true).nextSkips).toBe(firstQuietCut.nextSkips);
});
