import { expect, test } from "bun:test";
import type { DrillEntry } from "../../../src/control/drill-api.ts";
import { drillReport } from "../../../src/cli/output/drill-report.ts";

const drill: DrillEntry = {
  ...{ id: "g1.notes.1.1", service: "notes", kind: "kill", gateway: "g1", orderedBy: "<ana>", startedAtMs: 0 },
  ...{ outcome: "passed", from: "a", to: "b", failover: "g1.notes.1.2", predictedMs: 900, rtoMs: 850.4 },
  ...{ measuredBy: "clients", objectiveMs: 2_000, detail: "a kill failover" },
  ...{ dueAtMs: null, rpoMs: 0, probeWrites: 12, probeLost: 0 },
  phases: [
    { phase: "start", expectedMs: 100.4, measuredMs: 120 },
    { phase: "detect", expectedMs: 25, measuredMs: null },
  ],
};

test("a report has every drill, loads nothing, and runs nothing that a name contains", () => {
  const page = drillReport([drill, { ...drill, outcome: "missed", rtoMs: null }], new Date(0));
  expect(page).toContain("2 drills, 1 passed");
  expect(page).toContain("850 ms");
  expect(page).toContain(">0 ms<");
  expect(page).toContain("start 100 / 120, detect 25 / -");
  expect(page).toContain("&lt;ana&gt;");
  expect(page).not.toMatch(/<ana>|<script|src=|href=|url\(/);
});
