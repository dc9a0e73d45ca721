import { expect, test } from "bun:test";
import { objectionTo, parseHistory } from "../../src/config/history-rule.ts";

const hourMs = 3_600_000;

test("a history is written as how long and how often", () => {
  expect(parseHistory("7d hourly, 90d daily")).toEqual([
    { everyMs: hourMs, forMs: 7 * 24 * hourMs },
    { everyMs: 24 * hourMs, forMs: 90 * 24 * hourMs },
  ]);
  expect(parseHistory("365d weekly")).toEqual([{ everyMs: 168 * hourMs, forMs: 365 * 24 * hourMs }]);
  for (const text of ["", "7d", "hourly", "7 hourly", "7d hourly 90d daily", "7d hourly,", "7d yearly", "7d  toString"])
    expect(parseHistory(text)).toBeUndefined();
});

test("one that keeps nothing of a period, or too many, is refused with what to do", () => {
  expect(objectionTo(parseHistory("7d hourly, 90d daily") ?? [])).toBeUndefined();
  expect(objectionTo(parseHistory("90m daily") ?? [])).toBe("keep at least one whole period of each");
  expect(objectionTo(parseHistory("100d hourly") ?? [])).toBe(
    "keep at most 1000 checkpoints: these rules would keep 2400",
  );
});
