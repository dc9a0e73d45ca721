import { expect, test } from "bun:test";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { sortInTurns } from "../../src/runtime/sort-in-turns.ts";

test("sorts as Array.sort does, and keeps the order of equal items", async () => {
  const random = new SeededRandom(7);
  for (const length of [0, 1, 1023, 1024, 1025, 5000]) {
    const items = Array.from({ length }, (_, at) => ({ key: random.below(300), at }));
    const compare = (a: { key: number }, b: { key: number }): number => a.key - b.key;
    expect(await sortInTurns(items, compare)).toEqual(items.toSorted(compare));
  }
});

test("gives the event loop turns", async () => {
  const items = Array.from({ length: 200_000 }, (_, at) => (at * 7919) % 200_003);
  let turns = 0;
  const counting = setInterval(() => (turns += 1), 0);
  const sorted = await sortInTurns(items, (a, b) => a - b);
  clearInterval(counting);
  expect(sorted[0]).toBe(0);
  expect(turns).toBeGreaterThan(0);
});
