import { expect, test } from "bun:test";
import { formatDrillSummary } from "../../../src/cli/output/drill-summary.ts";
import { screenOf } from "../../../src/cli/output/wrap-text.ts";
import { drillEntry } from "../../support/gateway/status.ts";

const wide = { ...screenOf(undefined), text: 200 };
const hour = 3_600_000;
const startedAtMs = Date.UTC(2026, 0, 4, 3);
const now = startedAtMs + 5 * hour;
const nextAtMs = Date.UTC(2026, 0, 11, 3);

test("the last drill has its kind, result, and what clients waited against the objective", () => {
  expect(formatDrillSummary({ last: drillEntry({ startedAtMs }), next: null }, now, wide)).toBe(
    "last drill: 5 h ago, kill a -> b, passed; clients waited 412 ms, objective 2000 ms\n",
  );
  const unmeasured = drillEntry({ startedAtMs, outcome: "failed", detail: "it was not back", to: null, rtoMs: null });
  expect(formatDrillSummary({ last: { ...unmeasured, objectiveMs: null }, next: null }, now, wide)).toBe(
    "last drill: 5 h ago, kill a, failed: it was not back; how long clients waited is unknown, no objective\n",
  );
});

test("one that was due and not safe says why, and not how long clients waited", () => {
  const last = drillEntry({
    startedAtMs,
    outcome: "refused",
    detail: "it was due and not safe: c is down",
    rtoMs: null,
  });
  expect(formatDrillSummary({ last, next: null }, now, wide)).toBe(
    "last drill: 5 h ago, kill, refused: it was due and not safe: c is down\n",
  );
});

test("the next drill says when, and whether the configuration or an order plans it", () => {
  const next = { service: "notes", kind: "hang", at: "Sun 03:00", nextAtMs };
  expect(formatDrillSummary({ last: null, next }, now, wide)).toBe(
    "next drill: in 7 d, hang, at 2026-01-11T03:00:00.000Z (service.drill, Sun 03:00 UTC)\n",
  );
  expect(formatDrillSummary({ last: null, next: { ...next, orderedBy: "ann" } }, now, wide)).toContain(
    "(ordered by ann)",
  );
});

test("a service without any says nothing", () => {
  expect(formatDrillSummary({ last: null, next: null }, now, wide)).toBe("");
});
