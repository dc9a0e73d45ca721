import { expect, test } from "bun:test";
import { countOf, covers, dominates, joinVectors } from "../../../src/core/replication/version-vector.ts";

const vector = (entries: Record<string, number>) => new Map(Object.entries(entries));

test("an unknown origin counts as 0", () => {
  expect(countOf(vector({}), "a")).toBe(0);
  expect(covers(vector({}), "a", 1)).toBe(false);
  expect(covers(vector({ a: 3 }), "a", 3)).toBe(true);
  expect(covers(vector({ a: 3 }), "a", 4)).toBe(false);
});

test("of two vectors with different knowledge neither dominates the other, and their join dominates both", () => {
  const [a, b] = [vector({ x: 3, y: 1 }), vector({ y: 2, z: 1 })];
  expect([dominates(a, b), dominates(b, a)]).toEqual([false, false]);
  const both = joinVectors(a, b);
  expect(both).toEqual(vector({ x: 3, y: 2, z: 1 }));
  expect([dominates(both, a), dominates(both, b), dominates(a, a)]).toEqual([true, true, true]);
});
