import { expect, test } from "bun:test";
import { formatDueTime, lastDue, nextDue, parseDueTime } from "../../src/core/due-time.ts";

const at = (text: string): number => Date.parse(text);
const time = (text: string) => {
  const parsed = parseDueTime(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

test("a weekly time is due once a week, from its own minute on", () => {
  const sunday = time("Sun 03:00");
  expect(lastDue(sunday, at("2026-11-29T03:00:00Z"))).toBe(at("2026-11-29T03:00:00Z"));
  expect(lastDue(sunday, at("2026-11-29T02:59:59.999Z"))).toBe(at("2026-11-22T03:00:00Z"));
  expect(nextDue(sunday, at("2026-11-29T02:59:59.999Z"))).toBe(at("2026-11-29T03:00:00Z"));
  expect(nextDue(sunday, at("2026-11-29T03:00:00Z"))).toBe(at("2026-12-06T03:00:00Z"));
});

test("a daily time is due every day", () => {
  const daily = time("23:30");
  expect(lastDue(daily, at("2026-01-01T00:10:00Z"))).toBe(at("2025-12-31T23:30:00Z"));
  expect(nextDue(daily, at("2026-01-01T00:10:00Z"))).toBe(at("2026-01-01T23:30:00Z"));
});

test("what is written is what is shown, and nothing else is taken", () => {
  for (const text of ["Mon 09:05", "00:00"]) expect(formatDueTime(time(text))).toBe(text);
  for (const text of ["Sunday 03:00", "Sun 3:00", "24:00", "sun 03:00", ""]) expect(parseDueTime(text)).toBeUndefined();
});
