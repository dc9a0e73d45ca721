/** @jsxImportSource hono/jsx */
/** Drills: what was rehearsed, how long clients waited against what was expected, and the way to the next one. */
import { ordererInWords } from "../../control/orderer.ts";
import type { ClusterStatus } from "../../control/gateway-api.ts";
import type { DrillEntry, DrillList } from "../../control/drill-api.ts";
import { suffices } from "../../control/token.ts";
import { Badge, type Tone } from "./badge.tsx";
import type { View, Visitor } from "./layout.tsx";
import { pageAt, Pages } from "./paging.tsx";
import { inUnits, instant, orDash } from "./words.ts";

const drillsPerPage = 25;

export function drillsView(status: ClusterStatus, { drills }: DrillList, visitor: Visitor, page: number): View {
  const shown = pageAt(drills.toReversed(), page, drillsPerPage);
  return {
    title: "Drills",
    entry: "/drills",
    isLive: true,
    body: (
      <>
        <h1>Drills</h1>
        <p>A drill takes the real primary away when nothing speaks against it, and measures how long clients wait.</p>
        {suffices(visitor.role, "operator") ? (
          <p class="orders">
            {status.services.map(({ name }) => (
              <a class="button" href={`/orders/${encodeURIComponent(name)}/drill`}>
                Drill {name}
              </a>
            ))}
          </p>
        ) : null}
        {drills.length === 0 ? <p>None so far.</p> : <DrillTable drills={shown.items} />}
        <Pages path="/drills" page={shown.page} isLast={shown.isLast} />
      </>
    ),
  };
}

const tones: Readonly<Record<string, Tone>> = {
  ...{ passed: "good", missed: "poor", failed: "bad", interrupted: "poor", refused: "poor" },
};

export const drillTone = (outcome: string): Tone => tones[outcome] ?? "none";

function DrillTable({ drills }: { readonly drills: readonly DrillEntry[] }) {
  return (
    <div class="scroll" role="region" aria-label="Drills" tabindex={0}>
      <table class="stack">
        <caption class="hidden">Drills, newest first</caption>
        <thead>
          <tr>
            <th scope="col">Started</th>
            <th scope="col">Service</th>
            <th scope="col">Kind</th>
            <th scope="col">Outcome</th>
            <th scope="col">From → to</th>
            <th scope="col" class="number">
              Expected
            </th>
            <th scope="col" class="number">
              Clients waited
            </th>
            <th scope="col" class="number">
              Objective
            </th>
            <th scope="col">By</th>
            <th scope="col">What happened</th>
          </tr>
        </thead>
        <tbody>
          {drills.map((drill) => (
            <tr>
              <th scope="row">{instant(drill.startedAtMs)}</th>
              <td data-name="Service">{drill.service}</td>
              <td data-name="Kind">{drill.kind}</td>
              <td data-name="Outcome">
                <Badge tone={drillTone(drill.outcome)}>{drill.outcome}</Badge>
              </td>
              <td data-name="From → to">
                {orDash(drill.from)} → {orDash(drill.to)}
              </td>
              <td data-name="Expected" class="number">
                {inUnitsOrDash(drill.predictedMs)}
              </td>
              <td data-name="Clients waited" class="number">
                {inUnitsOrDash(drill.rtoMs)}
                {drill.measuredBy === "phases" ? <small> by phases: no traffic</small> : null}
              </td>
              <td data-name="Objective" class="number">
                {inUnitsOrDash(drill.objectiveMs)}
              </td>
              <td data-name="By">{ordererInWords(drill.orderedBy)}</td>
              <td data-name="What happened">
                {drill.failover === null ? (
                  drill.detail
                ) : (
                  <a href={`/failovers/${encodeURIComponent(drill.failover)}`}>{drill.detail}</a>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const inUnitsOrDash = (ms: number | null): string => (ms === null ? orDash(null) : inUnits(ms));
