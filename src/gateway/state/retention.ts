/** Which rows a gateway forgets: history beyond what is kept, and tombstones that all gateways have had time to get. */
import type { RowReplica } from "../../core/replication/replication.ts";
import { type ReplicatedRow, stampMs } from "../../core/replication/row.ts";

export const eventsKept = 10_000;
export const failoversKept = 2_000;
/** A gateway that was away for longer misses removals. */
export const tombstonesKeptMs = 30 * 24 * 3600 * 1_000;

export function outlivedRows(replica: RowReplica, wallTimeMs: number): readonly ReplicatedRow[] {
  const oldest = (table: string, time: string, kept: number): ReplicatedRow[] => {
    if (replica.countOf(table) <= kept) return [];
    return [...replica.rowsOf(table)].sort((a, b) => Number(b.values[time]) - Number(a.values[time])).slice(kept);
  };
  const isExpiredTombstone = (row: ReplicatedRow): boolean =>
    row.deleted && wallTimeMs - stampMs(row.hlc) > tombstonesKeptMs;
  // A revoked token could return at any time before it expires.
  const isLongExpired = ({ values }: ReplicatedRow): boolean =>
    values["expires_at_ms"] !== null && wallTimeMs - Number(values["expires_at_ms"]) > tombstonesKeptMs;
  return [
    ...oldest("events", "at_ms", eventsKept),
    ...oldest("failovers", "decided_at_ms", failoversKept),
    ...["hosts", "gateways", "health"].flatMap((table) => [...replica.rowsOf(table)].filter(isExpiredTombstone)),
    ...[...replica.rowsOf("tokens")].filter(isLongExpired),
  ];
}
