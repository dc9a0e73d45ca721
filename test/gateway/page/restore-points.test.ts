import { expect, test } from "bun:test";
import type { RestorePointsAnswer } from "../../../src/control/restore-points.ts";
import { written } from "../../../src/gateway/page/answers.tsx";
import { RestorePointList, type RestorePointsFound } from "../../../src/gateway/page/restore-points.tsx";

const nowMs = Date.parse("2026-03-08T12:00:00Z");
const hourMs = 3_600_000;
const answer = (change: Partial<RestorePointsAnswer> = {}): RestorePointsAnswer => ({
  ...{ service: "notes", host: "b", total: 2, damaged: [], older: [] },
  checkpoints: [
    { position: 900, wallTimeMs: nowMs - hourMs, databases: 2, bytes: 3 * 2 ** 20 },
    { position: 400, wallTimeMs: nowMs - 4 * hourMs, databases: 1, bytes: 2 ** 20 },
  ],
  earliest: { position: 400, wallTimeMs: nowMs - 4 * hourMs },
  latest: { position: 1_042, wallTimeMs: nowMs },
  keep: { checkpoints: 3, windowMs: 7 * 24 * hourMs },
  ...change,
});
const textOf = (found: RestorePointsFound): string => {
  const drawn = RestorePointList({ service: "notes", found, nowMs });
  return written(drawn).replaceAll(/<\/?strong>/g, "");
};
const told = (change: Partial<RestorePointsAnswer> = {}): string => textOf({ kind: "told", points: answer(change) });

test("says from which moment to which a restore goes, and what is kept", () => {
  const text = told();
  expect(text).toContain(
    "reaches every moment from 2026-03-08 08:00:00 UTC (position 400, 4 h ago) to 2026-03-08 12:00:00 UTC (position 1042, 0 ms ago). Kept are 3 checkpoints and every moment of the last 7 d at least.",
  );
  expect(told({ latest: null })).toContain("4 h ago) on. Kept are");
  expect(told({ checkpoints: [], total: 0, earliest: null })).toContain("The vault has no checkpoint");
});

test("checkpoints that are kept beyond that are single moments", () => {
  expect(told()).not.toContain("Before that");
  const older = [1, 2, 30].map((days) => ({ position: 300 - days * 10, wallTimeMs: nowMs - days * 24 * hourMs }));
  expect(told({ older })).toContain(
    "Before that, 3 checkpoints can be restored by position or exact time, from 2026-02-06 12:00:00 UTC (position 0, 30 d ago) to 2026-03-07 12:00:00 UTC",
  );
  expect(told({ older: older.slice(0, 1) })).toContain(
    "1 checkpoint can be restored by position or exact time, from 2026-03-07",
  );
});

test("checkpoints stand on the time line where they were made, and the line says it in words", () => {
  const text = told();
  expect([...text.matchAll(/<circle cx="([^"]+)"/g)].map(([, at]) => at)).toEqual(["75.00%", "0.00%"]);
  expect(text).toContain(
    'aria-label="Time line of notes from 2026-03-08 08:00:00 UTC to 2026-03-08 12:00:00 UTC: 2 checkpoints, the newest at 2026-03-08 11:00:00 UTC"',
  );
  expect(told({ total: 9 })).toContain("9 checkpoints, of which the newest 2 are marked");
  expect(told({ total: 9 })).toContain("And 7 older ones.");
});

test("each checkpoint has its age, position, databases, size, and the records up to the next", () => {
  const rows = (told().match(/<tr><th scope="row".*?<\/tr>/g) ?? []).map((row) =>
    [...row.matchAll(/<t[hd][^>]*>([^<]*)/g)].map(([, cell]) => cell),
  );
  expect(rows).toEqual([
    ["2026-03-08 11:00:00 UTC", "60 min ago", "900", "142", "2", "3.0 MiB"],
    ["2026-03-08 08:00:00 UTC", "4 h ago", "400", "500", "1", "1.0 MiB"],
  ]);
});

test("a damaged manifest is named; what no host could tell is said with its advice", () => {
  expect(told({ damaged: [700] })).toContain("The manifest of a checkpoint is damaged (position 700)");
  const refusal = { error: "no host that could tell answered", advice: "try again" };
  expect(textOf({ kind: "refused", refusal })).toContain(
    "Restore points are not known: no host that could tell answered. try again.",
  );
});
