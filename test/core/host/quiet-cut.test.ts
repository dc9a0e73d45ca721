import { describe, expect, test } from "bun:test";
import {
  firstQuietCut,
  type Manner,
  onAnswer,
  onFlush,
  onWaited,
  type QuietCut,
  quietWaitMs,
  waitsForQuiet,
  windowOf,
} from "../../../src/core/host/quiet-cut.ts";

/** Answers of an application of which each request takes `tookMs` among so many. */
function after(state: QuietCut, answers: number, tookMs: (among: number) => number): QuietCut {
  let now = state;
  for (let nth = 0; nth < answers; nth++) now = onAnswer(now, 1 + (nth % 4), tookMs(1 + (nth % 4)));
  return now;
}

const oneByOne = (among: number): number => 0.3 + 1.4 * among;
const sideBySide = (): number => 5;

test("a flush waits for four times as long as one takes, within 20 and 100 ms", () => {
  expect([0, 5, 6, 12, 80].map(quietWaitMs)).toEqual([20, 20, 24, 48, 100]);
});

describe("a host begins with a queue", () => {
  test("of which the application has one half, and two requests at least", () => {
    expect([0, 3, 16, 17].map((inFlight) => windowOf(firstQuietCut, inFlight, 20))).toEqual([2, 2, 8, 9]);
  });

  test("and no more than it answers within half of a wait", () => {
    const known = after(firstQuietCut, 1_000, oneByOne);
    expect([20, 60].map((waitMs) => windowOf(known, 1_000, waitMs))).toEqual([7, 21]);
  });

  test("and keeps it for an application that works one by one", () => {
    const known = after(firstQuietCut, 1_000, oneByOne);
    expect([known.mode, waitsForQuiet(known)]).toEqual([{ kind: "run", manner: "queue", left: undefined }, true]);
    expect(onFlush(known, 1).mode).toBe(known.mode);
  });

  test("and keeps it as long as all requests find the application with as many", () => {
    let known = firstQuietCut;
    for (let nth = 0; nth < 1_000; nth++) known = onAnswer(known, 2, 5);
    expect(known.mode.kind).toBe("run");
  });
});

/** Runs a trial with flushes of 4 ms until it is decided; `answers` per flush of each manner. */
function decide(answers: Readonly<Record<Manner, number>>): { state: QuietCut; turns: Manner[] } {
  let state = after(firstQuietCut, 200, sideBySide);
  const turns: Manner[] = [];
  for (let nowMs = 1; state.mode.kind === "trial"; nowMs += 4) {
    state = onFlush(state, nowMs);
    if (state.mode.kind === "trial" && turns.at(-1) !== state.mode.manner) turns.push(state.mode.manner);
    for (let nth = 0; nth < answers[state.mode.manner]; nth++) state = onAnswer(state, 4, 5);
  }
  return { state, turns };
}

describe("an application that works side by side is tried", () => {
  test("and flushes do not wait if it answers much less in both manners: each is tried once", () => {
    const { state, turns } = decide({ free: 20, queue: 8, batch: 6 });
    expect(turns).toEqual(["free", "queue", "batch"]);
    expect([state.mode, waitsForQuiet(state)]).toEqual([{ kind: "run", manner: "free", left: 256 }, false]);
    expect(windowOf(state, 16, 20)).toBe(Number.POSITIVE_INFINITY);
  });

  test("and they do not wait if it answers a little less, again and again", () => {
    const { state, turns } = decide({ free: 20, queue: 18, batch: 18 });
    expect(turns.filter((manner) => manner === "queue").length).toBe(3);
    expect(state.mode.manner).toBe("free");
  });

  test("and the manner that is as fast is kept, each time beside a free turn", () => {
    const { state, turns } = decide({ free: 20, queue: 8, batch: 20 });
    expect(turns).toEqual(["free", "queue", "batch", "free", "batch", "free", "batch"]);
    expect([state.mode.manner, windowOf(state, 16, 20)]).toEqual(["batch", Number.POSITIVE_INFINITY]);
    expect(decide({ free: 20, queue: 20, batch: 20 }).state.mode.manner).toBe("queue");
  });

  test("again after a run, which is longer each time that the result is the same", () => {
    let { state } = decide({ free: 20, queue: 8, batch: 6 });
    const lengths: number[] = [];
    for (let nowMs = 10_000; lengths.length < 5; nowMs += 4) {
      const { mode } = state;
      state = onFlush(state, nowMs);
      if (mode.kind === "trial" && state.mode.kind === "run") lengths.push(state.mode.left ?? 0);
      if (mode.kind === "run" && state.mode.kind === "trial") expect(mode.left).toBe(1);
      const answers = { free: 20, queue: 8, batch: 6 }[state.mode.manner];
      for (let nth = 0; nth < answers; nth++) state = onAnswer(state, 4, 5);
    }
    expect(lengths).toEqual([1_024, 4_096, 16_384, 32_768, 32_768]);
  });
});

test("flushes that wait in vain more often than not wait no more for a run", () => {
  let state = firstQuietCut;
  for (let nth = 0; nth < 40; nth++) state = onWaited(state, nth % 2 === 0);
  expect(state.mode.manner).toBe("queue");
  let misses = 0;
  for (; waitsForQuiet(state); misses++) state = onWaited(state, false);
  expect(misses).toBeLessThan(12);
  expect(state.mode).toEqual({ kind: "run", manner: "free", left: 256 });
});
