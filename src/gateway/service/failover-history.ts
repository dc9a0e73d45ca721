/** What the shared tables say of a service's failovers: of all gateways, and of earlier runs. */
import type { MeasuredFailover } from "../../core/failover/prediction.ts";
import { fromValues } from "../state/replication-tables.ts";
import type { FailoverRow } from "../state/rows.ts";
import type { failovers } from "../state/schema.ts";
import type { StateStore } from "../state/store.ts";

const failoversMax = 100;

/** Returns the newest ones, oldest first. */
export function failoversOf(store: Pick<StateStore, "replica">, service: string): readonly FailoverRow[] {
  const rows = [...store.replica.rowsOf("failovers")]
    .filter(({ deleted, values }) => !deleted && values["service"] === service)
    .map((row) => fromValues<typeof failovers.$inferSelect>(row));
  return rows.sort((a, b) => a.decidedAtMs - b.decidedAtMs).slice(-failoversMax);
}

/** Returns the completed ones, oldest first; those with failed attempts or a wait say nothing about the next. */
export function measuredOf(rows: readonly FailoverRow[]): readonly MeasuredFailover[] {
  return rows
    .filter(({ outcome, waitMs, retryMs }) => outcome === "done" && (waitMs ?? 0) === 0 && (retryMs ?? 0) === 0)
    .map((row) => ({
      kind: row.kind,
      to: row.toHost ?? undefined,
      gapMs: row.gapMs ?? undefined,
      phases: phasesOf(row),
    }));
}

function phasesOf(row: FailoverRow): MeasuredFailover["phases"] {
  const phases = {
    ...{ detect: row.detectMs, agree: row.agreeMs, demote: row.demoteMs, claim: row.claimMs, lease: row.leaseMs },
    ...{ catchUp: row.catchUpMs, start: row.startMs, route: row.routeMs },
  };
  return Object.fromEntries(Object.entries(phases).filter(([, ms]) => typeof ms === "number"));
}
