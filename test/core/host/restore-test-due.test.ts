import { expect, test } from "bun:test";
import { parseDueTime } from "../../../src/core/due-time.ts";
import { isRestoreTestDue } from "../../../src/core/host/restore-test-due.ts";

const at = (text: string): number => Date.parse(text);

test("at a time of the week it is due once, up to an hour late, and not made up for after that", () => {
  const time = parseDueTime("Sun 03:00");
  if (time === undefined) throw new Error("a time that is one");
  const weekly = { kind: "at", at: time } as const;
  const isDue = (now: string, last?: string) => isRestoreTestDue(weekly, last === undefined ? last : at(last), at(now));
  expect(isDue("2026-11-29T02:59:59Z")).toBe(false);
  expect(isDue("2026-11-29T03:00:00Z")).toBe(true);
  expect(isDue("2026-11-29T04:00:00Z")).toBe(true);
  expect(isDue("2026-11-29T04:00:01Z")).toBe(false);
  expect(isDue("2026-11-29T03:30:00Z", "2026-11-29T03:00:00Z")).toBe(false);
  expect(isDue("2026-11-29T03:30:00Z", "2026-11-22T03:00:00Z")).toBe(true);
});

test("at an interval it is due at first, and then by the beginning of the last", () => {
  const daily = { kind: "every", everyMs: 1_000 } as const;
  expect(isRestoreTestDue(daily, undefined, 0)).toBe(true);
  expect(isRestoreTestDue(daily, 500, 1_499)).toBe(false);
  expect(isRestoreTestDue(daily, 500, 1_500)).toBe(true);
});
