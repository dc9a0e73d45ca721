import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../../harness/seeded-random.ts";
import {
  firstQuietCut,
  type Manner,
  onAnswer,
  onFlush,
  onWaited,
  type QuietCut,
  quietWaitMs,
  isWaiting,
  windowOf,
} from "../../../src/core/host/quiet-cut.ts";

/**
 * An application with a window of four. Each time it gets four requests at once, and answers them at these times; then
 * there is a flush.
 */
function after(state: QuietCut, flushes: number, atMs: readonly [number, number, number, number]): QuietCut {
  let now = state;
  for (let flush = 0; flush < flushes; flush++) {
    now = onFlush(now, 10 * flush);
    for (const [place, tookMs] of atMs.entries()) {
      const gapMs = tookMs - (atMs[place - 1] ?? 0);
      const answer = { among: place + 1, tookMs, executing: 4 - place, gapMs, isFirst: place === 0 };
      now = onAnswer(now, answer, 4);
    }
  }
  return now;
}

const oneByOne = [1.7, 3.1, 4.5, 5.9] as const;
const evenly = [5, 5.1, 5.2, 5.3] as const;

test("a flush waits for eight times as long as one takes, within 20 and 200 ms", () => {
  expect([0, 2.5, 3, 12, 80].map(quietWaitMs)).toEqual([20, 20, 24, 96, 200]);
});

describe("a host begins with a queue", () => {
  test("of which the application has one half, and two requests at least", () => {
    expect([0, 3, 16, 17].map((inFlight) => windowOf(firstQuietCut, inFlight, 20))).toEqual([2, 2, 8, 9]);
  });

  test("and no more than it answers within half of a wait", () => {
    const known = after(firstQuietCut, 250, oneByOne);
    expect([20, 60].map((waitMs) => windowOf(known, 1_000, waitMs))).toEqual([7, 21]);
  });

  test("and keeps it for an application that works one by one", () => {
    const known = after(firstQuietCut, 250, oneByOne);
    expect([known.mode, isWaiting(known)]).toEqual([{ kind: "run", manner: "queue", left: undefined }, true]);
    expect(onFlush(known, 1).mode).toBe(known.mode);
  });

  test("and keeps it although the machine is busier from flush to flush, or it answers at random times", () => {
    let known = firstQuietCut;
    for (let flush = 0; flush < 400; flush++) {
      const ms = 3 + flush / 200;
      known = after(known, 1, [ms, ms + 2, ms + 4, ms + 6]);
    }
    expect([known.mode.kind, windowOf(known, 1_000, 41)]).toEqual(["run", 10]);
    const dice = new SeededRandom(1);
    for (let flush = 0; flush < 1_000; flush++) {
      const [a, b, c, d] = [dice.fraction(), dice.fraction(), dice.fraction(), dice.fraction()].map((x) => 20 * x * x);
      known = after(known, 1, [
        a ?? 0,
        (a ?? 0) + (b ?? 0),
        (a ?? 0) + (b ?? 0) + (c ?? 0),
        (a ?? 0) + (b ?? 0) + (c ?? 0) + (d ?? 0),
      ]);
    }
    expect(known.mode.kind).toBe("run");
  });

  test("and keeps it where response times are nearly equal only since it always has as many, one after the other", () => {
    let known = firstQuietCut;
    for (let flush = 0; flush < 400; flush++) {
      known = onFlush(known, 10 * flush);
      for (const among of [9, 10])
        known = onAnswer(known, { among, tookMs: 1.4 * among, executing: among, gapMs: 1.4, isFirst: false }, 10);
    }
    expect(known.mode.kind).toBe("run");
  });

  test.each([
    ["takes longest before the first answer", [6, 6.5, 7, 7.5]],
    ["takes longer the fewer it has left", [1, 2, 5, 9]],
    ["answers at once, always after the same time", [5, 5, 5, 5]],
  ] as const)("and tries it where the application %s", (_, atMs) => {
    expect(after(firstQuietCut, 10, atMs).mode.kind).toBe("run");
    expect(after(firstQuietCut, 200, atMs).mode.kind).toBe("trial");
  });
});

/** After one flush with so many rounds of these answers: the number in the application, and the response time. */
function afterOne(rounds: number, answers: readonly (readonly [among: number, tookMs: number])[]): QuietCut {
  let state = firstQuietCut;
  for (let round = 0; round < rounds; round++)
    for (const [among, tookMs] of answers)
      state = onAnswer(state, { among, tookMs, executing: among, gapMs: 1, isFirst: false }, 4);
  return onFlush(state, 10);
}

test.each([
  [
    "their deviation is three tenths of their mean",
    [
      [1, 7],
      [1, 13],
      [3, 7],
      [3, 13],
    ],
    [
      [1, 7.1],
      [1, 12.9],
      [3, 7.1],
      [3, 12.9],
    ],
  ],
  [
    "three tenths of them come with the number in the application",
    [
      [1, 8.5],
      [3, 11.5],
    ],
    [
      [1, 8.6],
      [3, 11.4],
    ],
  ],
] as const)("response times are not nearly equal if %s", (_, varying, equal) => {
  expect(afterOne(128, varying).mode.kind).toBe("run");
  expect(afterOne(128, equal).mode.kind).toBe("trial");
});

type Answers = Readonly<Record<Manner, number>>;

/** One flush of 4 ms, with as many answers as there are in this manner. */
function flush(state: QuietCut, nowMs: number, answers: Answers): QuietCut {
  let now = onFlush(state, nowMs);
  for (let nth = 0; nth < answers[now.mode.manner]; nth++)
    now = onAnswer(now, { among: 1 + (nth % 8), tookMs: 5, executing: 4, gapMs: 0.2, isFirst: false }, 4);
  return now;
}

/** Runs a trial until it is decided. */
function decide(answers: Answers): { state: QuietCut; turns: Manner[] } {
  let state = firstQuietCut;
  while (state.mode.kind === "run") state = after(state, 1, evenly);
  const turns: Manner[] = [];
  for (let nowMs = 10; state.mode.kind === "trial"; nowMs += 4) {
    if (turns.at(-1) !== state.mode.manner) turns.push(state.mode.manner);
    state = flush(state, nowMs, answers);
  }
  return { state, turns };
}

describe("an application that works side by side is tried", () => {
  test("and flushes do not wait if it answers much less in both manners: each is tried once", () => {
    const { state, turns } = decide({ free: 20, queue: 8, batch: 6 });
    expect(turns).toEqual(["free", "queue", "batch"]);
    expect([state.mode, isWaiting(state)]).toEqual([{ kind: "run", manner: "free", left: 256 }, false]);
    expect(windowOf(state, 16, 20)).toBe(Number.POSITIVE_INFINITY);
  });

  test("and they do not wait if it answers a little less, in five rounds", () => {
    const { state, turns } = decide({ free: 20, queue: 18, batch: 18 });
    expect(turns.filter((manner) => manner === "queue").length).toBe(5);
    expect(state.mode.manner).toBe("free");
  });

  test("and the manner that is as fast is kept, each time beside a free turn", () => {
    const { state, turns } = decide({ free: 20, queue: 8, batch: 20 });
    expect(turns).toEqual([
      "free",
      "queue",
      ...Array.from({ length: 5 }, () => ["batch", "free"])
        .flat()
        .slice(0, -1),
    ] as Manner[]);
    expect([state.mode.manner, windowOf(state, 16, 20)]).toEqual(["batch", Number.POSITIVE_INFINITY]);
    expect(decide({ free: 20, queue: 20, batch: 20 }).state.mode.manner).toBe("queue");
  });

  test("again after a run, which is longer each time that the result is the same", () => {
    const answers = { free: 20, queue: 8, batch: 6 };
    let { state } = decide(answers);
    const lengths: number[] = [];
    for (let nowMs = 100_000; lengths.length < 5; nowMs += 4) {
      const { mode } = state;
      state = flush(state, nowMs, answers);
      if (mode.kind === "trial" && state.mode.kind === "run") lengths.push(state.mode.left ?? 0);
      if (mode.kind === "run" && state.mode.kind === "trial") expect(mode.left).toBe(1);
    }
    expect(lengths).toEqual([1_024, 4_096, 16_384, 32_768, 32_768]);
  });
});

test("flushes that wait in vain more often than not wait no more for a run", () => {
  let state = firstQuietCut;
  for (let nth = 0; nth < 40; nth++) state = onWaited(state, nth % 2 === 0);
  expect(state.mode.manner).toBe("queue");
  let misses = 0;
  for (; isWaiting(state); misses++) state = onWaited(state, false);
  expect(misses).toBeLessThan(12);
  expect(state.mode).toEqual({ kind: "run", manner: "free", left: 256 });
});
