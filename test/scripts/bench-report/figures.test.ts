import { expect, test } from "bun:test";
import { figuresIn, rowsOf, shown } from "../../../scripts/bench-report/figures.ts";

test("the figures are the numbers of the last line, by their place; elements are named by what tells them apart", () => {
  const last = {
    n: 1,
    results: [
      { clients: 1, p50: 2 },
      { clients: 4, p50: 3 },
    ],
    rounds: [{ ms: 4 }, { ms: 5 }],
    app: "x",
  };
  expect([...figuresIn(`a line\n${JSON.stringify(last)}\n`)]).toEqual([
    ["n", 1],
    ["results.clients=1.clients", 1],
    ["results.clients=1.p50", 2],
    ["results.clients=4.clients", 4],
    ["results.clients=4.p50", 3],
    ["rounds.0.ms", 4],
    ["rounds.1.ms", 5],
  ]);
  expect(() => figuresIn("no object")).toThrow(SyntaxError);
});

test("elements with the same name are told apart by their place", () => {
  expect([...figuresIn('[{"app":"x","ms":1},{"app":"x","ms":2}]').keys()]).toEqual(["0.ms", "1.ms"]);
});

const figures = (value: number) => new Map([["ms", value]]);

test("a row has the median and the spread of the turns, and the ratio to the turn's own run of before", () => {
  const [row] = rowsOf([
    { before: figures(10), now: figures(20) },
    { before: figures(40), now: figures(30) },
    { before: figures(20), now: figures(10) },
  ]);
  expect(row).toEqual({
    name: "ms",
    now: { median: 20, lowest: 10, highest: 30 },
    before: { median: 20, lowest: 10, highest: 40 },
    ratio: { median: 1, lowest: 0.5, highest: 2 },
  });
});

test("a figure that a turn lacks has no row; one that the earlier commit lacks has no ratio", () => {
  expect(rowsOf([{ now: figures(1) }, { now: new Map() }])).toEqual([]);
  expect(rowsOf([{ now: figures(1), before: new Map() }])).toEqual([
    { name: "ms", now: { median: 1, lowest: 1, highest: 1 } },
  ]);
});

test("a spread is shown when there is one", () => {
  expect(shown({ median: 1.23456, lowest: 1, highest: 2 })).toBe("1.235 [1, 2]");
  expect(shown({ median: 3, lowest: 3, highest: 3 })).toBe("3");
});
