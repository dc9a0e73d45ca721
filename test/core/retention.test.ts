import { describe, expect, test } from "bun:test";
import { planRetention, type RetentionCheckpoint, type RetentionInput } from "../../src/core/retention.ts";
import { allRules, withoutRule } from "../../src/core/rules.ts";

const at = (position: number, wallTimeMs: number, announced = true): RetentionCheckpoint => ({
  position,
  wallTimeMs,
  announced,
});
const plan = (
  checkpoints: readonly RetentionCheckpoint[],
  checkpointsMin: number,
  windowMs: number,
  nowMs = 1000,
  more: Partial<RetentionInput> = {},
): ReturnType<typeof planRetention> =>
  planRetention({
    checkpoints,
    logPosition: 1000,
    policy: { checkpointsMin, windowMs },
    nowMs,
    rules: allRules,
    ...more,
  });
const five = [at(0, 0), at(10, 100), at(20, 200), at(30, 300), at(40, 400)];

describe("what retention keeps", () => {
  test("is everything while no checkpoint is announced", () => {
    expect(plan([], 1, 0)).toEqual({ boundary: 0, kept: [], removed: [], chunksUpTo: -1 });
    expect(plan([at(10, 1, false)], 1, 0)).toEqual({ boundary: 0, kept: [], removed: [], chunksUpTo: -1 });
  });

  test("is at least so many of the newest checkpoints, and the log after the oldest of them", () => {
    expect(plan(five, 2, 0)).toEqual({ boundary: 30, kept: [30, 40], removed: [0, 10, 20], chunksUpTo: 30 });
    expect(plan(five, 9, 0)).toEqual({ boundary: 0, kept: [0, 10, 20, 30, 40], removed: [], chunksUpTo: 0 });
  });

  test("reaches every moment of the window, so also the last checkpoint before it begins", () => {
    expect(plan(five, 1, 750)).toMatchObject({ kept: [20, 30, 40] });
    expect(plan(five, 1, 800)).toMatchObject({ kept: [20, 30, 40] });
    expect(plan(five, 1, 801)).toMatchObject({ kept: [10, 20, 30, 40] });
    expect(plan(five, 1, 1e9)).toMatchObject({ boundary: 0, removed: [] });
  });

  test("is also what rules keep of older checkpoints, without the log after them", () => {
    const history = [{ everyMs: 200, forMs: 1000 }];
    const policy = { checkpointsMin: 1, windowMs: 0, history };
    expect(plan(five, 1, 0, 400, { policy })).toEqual({
      boundary: 40,
      kept: [0, 20, 40],
      removed: [10, 30],
      chunksUpTo: 40,
    });
    expect(plan(five, 1, 0, 1200, { policy })).toMatchObject({ kept: [20, 40], removed: [0, 10, 30] });
    // One that no announced checkpoint names is none of them.
    const unnamed = [at(0, 0, false), ...five.slice(1)];
    expect(plan(unnamed, 1, 0, 400, { policy })).toMatchObject({ kept: [10, 20, 40], removed: [0, 30] });
  });

  test("is more, never less, when the wall clock goes backwards", () => {
    expect(plan([at(0, 0), at(10, 990), at(20, 5), at(30, 6)], 1, 100)).toMatchObject({ kept: [0, 10, 20, 30] });
  });

  test("is never an unannounced checkpoint that is older than the newest announced, and always one that is newer", () => {
    expect(plan([at(10, 1), at(20, 2, false), at(30, 3), at(40, 4, false)], 1, 0)).toEqual({
      boundary: 30,
      kept: [30],
      removed: [10, 20],
      chunksUpTo: 30,
    });
  });

  test("cannot be nothing: a policy without a checkpoint or with a negative window is refused", () => {
    for (const [count, window] of [
      [0, 0],
      [-1, 0],
      [1.5, 0],
      [Number.NaN, 0],
      [1, -1],
      [1, Number.NaN],
    ] as const)
      expect(() => plan(five, count, window)).toThrow(RangeError);
  });

  test("without R6 is less than the checkpoint needs: the mutant", () => {
    expect(plan(five, 1, 0, 1000, { rules: withoutRule("R6-checkpoint-before-delete") }).boundary).toBe(1000);
  });

  test("in any history is the newest announced, the minimum, and a way to every moment of the window", () => {
    let state = 12345;
    const pick = (below: number): number => (state = (state * 1103515245 + 12345) % 2147483648) % below;
    for (let round = 0; round < 5000; round += 1) {
      const checkpoints = Array.from({ length: pick(12) }, (_, index) =>
        at(index * 10 + pick(9), pick(1000), pick(3) > 0),
      );
      const [minimum, window, nowMs] = [1 + pick(4), pick(900), 1000];
      const { boundary, kept, removed, chunksUpTo } = plan([...checkpoints].reverse(), minimum, window, nowMs);
      const announced = checkpoints.filter((checkpoint) => checkpoint.announced);
      const newest = announced.at(-1);
      if (newest === undefined) {
        expect([boundary, removed.length, chunksUpTo]).toEqual([0, 0, -1]);
        continue;
      }
      expect(kept.at(-1)).toBe(newest.position);
      expect(kept.length).toBeGreaterThanOrEqual(Math.min(minimum, announced.length));
      expect(kept[0]).toBe(boundary);
      expect(kept.filter((position) => removed.includes(position))).toEqual([]);
      expect(removed.every((position) => position < newest.position)).toBe(true);
      expect(kept).toEqual(announced.map(({ position }) => position).filter((position) => position >= boundary));
      for (let moment = nowMs - window; moment <= nowMs; moment += 37) {
        // A restore to a moment starts from the last checkpoint before which nothing is later than that moment.
        const later = announced.findIndex(({ wallTimeMs }) => wallTimeMs > moment);
        const base = later < 0 ? newest : announced[later - 1];
        if (base !== undefined) expect(kept).toContain(base.position);
      }
    }
  });
});
