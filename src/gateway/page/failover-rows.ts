/** Failovers as the database has them. */
import type { SqlAnswer, SqlValue } from "../../control/gateway-api.ts";
import type { FailoverEntry } from "../../control/failover-api.ts";
import { type ApiCalls, quoted } from "./api-calls.ts";
import type { Bar } from "./timeline.ts";

export const failoverColumns =
  "id, service, gateway, kind, outcome, from_host, to_host, epoch_from, epoch_to, attempts, decided_at, detect_ms, agree_ms, demote_ms, claim_ms, lease_ms, catchup_ms, start_ms, route_ms, wait_ms, retry_ms, gap_ms, cause, gap_start_ms, predicted_ms";

/** Returns the rows of the view `failovers` that an answer with `failoverColumns` has, each with its phases. */
export async function storedFailovers(api: ApiCalls, answer: SqlAnswer): Promise<readonly FailoverEntry[]> {
  const names = answer.columns;
  const rows = answer.rows.map((row) => (name: string) => row[names.indexOf(name)] ?? null);
  if (rows.length === 0) return [];
  const ids = rows.map((value) => quoted(String(value("id") as string)));
  const spans = await api.sql(
    `select failover, phase, start_ms, ms from failover_phases where phase <> 'gap' and failover in (${ids.join(", ")})`,
  );
  return rows.map((value) => entryOf(value, spans.rows.filter(([id]) => id === value("id")).map(barOf)));
}

const barOf = ([, phase, startMs, ms]: SqlAnswer["rows"][number]): Bar => ({
  phase: phase as string,
  startMs: startMs as number,
  ms: ms as number,
});

function entryOf(value: (name: string) => SqlValue, timeline: Bar[]): FailoverEntry {
  const text = (name: string): string => value(name) as string;
  const optional = (name: string): string | null => value(name) as string | null;
  const number = (name: string): number | null => value(name) as number | null;
  return {
    ...{ id: text("id"), service: text("service"), gateway: text("gateway"), kind: text("kind") },
    ...{ outcome: text("outcome"), from: optional("from_host"), to: optional("to_host"), cause: optional("cause") },
    ...{ epochFrom: number("epoch_from") ?? 0, epochTo: number("epoch_to"), attempts: number("attempts") ?? 0 },
    decidedAtMs: Date.parse(text("decided_at")),
    phases: {
      ...{ detect: number("detect_ms"), agree: number("agree_ms"), demote: number("demote_ms") },
      ...{ claim: number("claim_ms"), lease: number("lease_ms"), catchUp: number("catchup_ms") },
      ...{ start: number("start_ms"), route: number("route_ms"), wait: number("wait_ms"), retry: number("retry_ms") },
    },
    ...{ gapMs: number("gap_ms"), gapStartMs: number("gap_start_ms"), predictedMs: number("predicted_ms"), timeline },
  };
}
