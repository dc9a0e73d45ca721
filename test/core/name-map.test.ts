import { expect, test } from "bun:test";
import { NameMap } from "../../src/core/name-map.ts";

function valuesOf<T>(map: NameMap<T>): T[] {
  const found: T[] = [];
  map.forEach((each) => void found.push(each));
  return found;
}

const name = (run: string, count: number) => ({ run, count });

test("holds one value for each name, counts them, and forgets a run with its last name", () => {
  const map = new NameMap<string>();
  map.set(name("a", 1), "a1");
  map.set(name("b", 1), "b1");
  map.set(name("a", 2), "a2");
  map.set(name("a", 1), "a1 again");
  expect([map.size, valuesOf(map)]).toEqual([3, ["a1 again", "a2", "b1"]]);
  expect([map.get(name("a", 1)), map.get(name("b", 2)), map.get(name("c", 1))]).toEqual([
    "a1 again",
    undefined,
    undefined,
  ]);
  for (const each of [name("b", 2), name("c", 1), name("b", 1), name("b", 1)]) map.delete(each);
  expect([map.size, valuesOf(map)]).toEqual([2, ["a1 again", "a2"]]);
});

test("may be emptied while it is walked through", () => {
  const map = new NameMap<{ run: string; count: number }>();
  for (const each of [name("a", 1), name("a", 2), name("b", 1)]) map.set(each, each);
  map.forEach((each) => map.delete(each));
  expect([map.size, valuesOf(map)]).toEqual([0, []]);
});
