import { describe, expect, test } from "bun:test";
import {
  flushBegins,
  flushEnded,
  type GroupCommit,
  noGroup,
  waitForGroupMs,
} from "../../../src/core/host/group-commit.ts";

/** After a flush of 20 ms that ended at 1000, released three, and left one waiting. */
const slow: GroupCommit = flushEnded(noGroup, { nowMs: 1000, tookMs: 20, released: 3, waiting: 1 });

describe("the wait for a group", () => {
  test("is the time of a flush from the end of the last one", () => {
    expect(waitForGroupMs(slow, 1000, 1)).toBe(20);
    expect(waitForGroupMs(slow, 1019, 3)).toBe(1);
    expect(waitForGroupMs(slow, 1020, 3)).toBeLessThanOrEqual(0);
    expect(waitForGroupMs(slow, 1200, 1)).toBeLessThanOrEqual(0);
  });

  test("ends when as many wait as were released and left waiting", () => {
    expect(waitForGroupMs(slow, 1000, 4)).toBe(0);
  });

  test("does not exist where flushes are fast, and before the first one", () => {
    const fast = flushEnded(noGroup, { nowMs: 1000, tookMs: 0.4, released: 3, waiting: 1 });
    expect(waitForGroupMs(fast, 1000, 1)).toBe(0);
    expect(waitForGroupMs(noGroup, 1000, 1)).toBe(0);
  });

  test("begins with flushes of half a millisecond", () => {
    expect(waitForGroupMs(flushEnded(noGroup, { nowMs: 1000, tookMs: 0.5, released: 3, waiting: 1 }), 1000, 1)).toBe(
      0.5,
    );
  });

  test("follows the time that flushes take by a fifth of each difference", () => {
    const quicker = flushEnded(slow, { nowMs: 1000, tookMs: 10, released: 3, waiting: 1 });
    expect(quicker.flushMs).toBe(18);
  });

  test("is bounded however long a flush took", () => {
    const stalled = flushEnded(noGroup, { nowMs: 1000, tookMs: 60_000, released: 3, waiting: 1 });
    expect(waitForGroupMs(stalled, 1000, 1)).toBe(25);
  });
});

describe("a wait without success", () => {
  const missed = (state: GroupCommit): GroupCommit => flushBegins(state, 1, true);
  const skipsOf = (state: GroupCommit): number => {
    let skips = 0;
    for (let next = state; waitForGroupMs(next, 1000, 1) === 0; next = flushBegins(next, 1, false)) skips += 1;
    return skips;
  };

  test("is given up for longer and longer runs of flushes, up to a bound", () => {
    const runs = [];
    for (let state = slow, round = 0; round < 8; round += 1) {
      state = missed(state);
      runs.push(skipsOf(state));
      state = { ...state, skips: 0 };
    }
    expect(runs).toEqual([1, 3, 7, 15, 31, 63, 63, 63]);
  });

  test("counts from the beginning after one with success", () => {
    const missedTwice = { ...missed({ ...missed(slow), skips: 0 }), skips: 0 };
    const met = flushBegins(missedTwice, 4, true);
    expect(met.skips).toBe(0);
    expect(skipsOf(missed(met))).toBe(1);
  });
});
