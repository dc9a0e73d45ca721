import { describe, expect, test } from "bun:test";
import { historyCount, thinOut } from "../../src/core/checkpoint-history.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const at = (position: number, wallTimeMs: number) => ({ position, wallTimeMs });
const rules = [
  { everyMs: hourMs, forMs: dayMs },
  { everyMs: dayMs, forMs: 30 * dayMs },
];

describe("which older checkpoints rules keep", () => {
  test("is the first of each period that reaches into the time of its rule", () => {
    const points = [at(1, 0), at(2, hourMs - 1), at(3, hourMs), at(4, 2 * hourMs + 5), at(5, 3 * hourMs - 1)];
    const hourly = [{ everyMs: hourMs, forMs: 2 * hourMs }];
    expect(thinOut(points, hourly, 3 * hourMs - 1).map(({ position }) => position)).toEqual([1, 3, 4]);
    // The whole first hour is too old by then.
    expect(thinOut(points, hourly, 3 * hourMs).map(({ position }) => position)).toEqual([3, 4]);
    expect(thinOut(points, [], 0)).toEqual([]);
  });

  test("of several rules is what any of them keeps, and a day's is one of its hours'", () => {
    const points = Array.from({ length: 5 * 24 * 4 }, (_, index) => at(index, (index * hourMs) / 4));
    const kept = thinOut(points, rules, 5 * dayMs).map(({ wallTimeMs }) => wallTimeMs / hourMs);
    expect(kept.slice(0, 5)).toEqual([0, 24, 48, 72, 96]);
    expect(kept.slice(4)).toEqual(Array.from({ length: 24 }, (_, hour) => 96 + hour));
    expect(historyCount(rules)).toBe(24 + 30);
    expect(kept.length).toBeLessThanOrEqual(historyCount(rules));
  });

  test("can be chosen one by one, as checkpoints are made: nothing is missed that all at once would have kept", () => {
    const random = new SeededRandom(1);
    for (let round = 0; round < 50; round++) {
      let nowMs = random.fraction() * 1e12;
      const all: ReturnType<typeof at>[] = [];
      let named: ReturnType<typeof at>[] = [];
      for (let position = 1; position < 300; position++) {
        // Clocks of other hosts are a little behind.
        const point = at(position, nowMs - random.fraction() * 60_000);
        all.push(point);
        named = thinOut([...named, point], rules, nowMs);
        nowMs += random.fraction() * 6 * hourMs;
      }
      expect(thinOut(named, rules, nowMs)).toEqual(thinOut(all, rules, nowMs));
    }
  });
});
