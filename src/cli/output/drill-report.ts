/** The drills as one page of HTML that needs nothing else: for people who keep proof of rehearsed failovers. */
import { ordererInWords } from "../../control/orderer.ts";
import type { DrillEntry } from "../../control/drill-api.ts";

export function drillReport(drills: readonly DrillEntry[], now: Date): string {
  const passed = drills.filter(({ outcome }) => outcome === "passed").length;
  const rows = [...drills].reverse().map(rowOf).join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Failover drills</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color-scheme: light dark; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8886; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
</style>
</head>
<body>
<h1>Failover drills</h1>
<p>${drills.length} drills, ${passed} passed; written at ${now.toISOString()}. Each took the real primary away. The
time is how long clients waited: measured by <em>clients</em>, the longest time without a successful response at the
gateway; by <em>phases</em>, without traffic, the sum of the phases of the failover. Lost is how much of what was
acknowledged was not there afterwards, in time, by writes of a probe that were read back; empty: there was no probe.</p>
<table>
<thead><tr><th scope="col">Started (UTC)</th><th scope="col">Service</th><th scope="col">Kind</th><th scope="col">Primary</th><th scope="col">Outcome</th><th scope="col">Waited</th><th scope="col">Measured by</th><th scope="col">Expected</th><th scope="col">Objective</th><th scope="col">Lost</th><th scope="col">Ordered by</th><th scope="col">Detail</th><th scope="col">Phases (expected / measured ms)</th></tr></thead>
<tbody>
${rows}
</tbody>
</table>
</body>
</html>
`;
}

function rowOf(drill: DrillEntry): string {
  const cells = [
    cell(new Date(drill.startedAtMs).toISOString()),
    cell(drill.service),
    cell(drill.kind),
    cell(`${drill.from ?? "none"} → ${drill.to ?? "none"}`),
    cell(drill.outcome),
    duration(drill.rtoMs),
    cell(drill.measuredBy ?? ""),
    duration(drill.predictedMs),
    duration(drill.objectiveMs),
    duration(drill.rpoMs),
    cell(ordererInWords(drill.orderedBy)),
    cell(drill.detail),
    cell(phasesOf(drill)),
  ];
  return `<tr>${cells.join("")}</tr>`;
}

const phasesOf = ({ phases }: DrillEntry): string =>
  phases.map(({ phase, expectedMs, measuredMs }) => `${phase} ${whole(expectedMs)} / ${whole(measuredMs)}`).join(", ");
const whole = (ms: DrillEntry["rtoMs"]): string => (ms === null ? "-" : String(Math.round(ms)));

const cell = (text: string): string => `<td>${escaped(text)}</td>`;
const duration = (ms: DrillEntry["rtoMs"]): string =>
  `<td class="number">${ms === null ? "" : `${Math.round(ms)} ms`}</td>`;

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (character) => entities[character] ?? character);
