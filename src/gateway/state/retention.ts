/** Which rows a gateway forgets: history beyond what is kept, and tombstones that all gateways have had time to get. */
import type { RowReplica } from "../../core/replication/replication.ts";
import { type ReplicatedRow, stampMs } from "../../core/replication/row.ts";

export const eventsKept = 10_000;
export const failoversKept = 2_000;
/** Of several gateways. */
export const impactsKept = 10_000;
export const drillsKept = 2_000;
export const restoreTestsKept = 2_000;
export const notificationsKept = 2_000;
/** Of several targets. */
export const deliveriesKept = 10_000;
/** Calls of the audit that were carried out; refused ones; and those without valid credentials. */
export const auditKept = { done: 10_000, refused: 2_000, unknown: 1_000 } as const;
/** A gateway that was away for longer misses removals. */
export const tombstonesKeptMs = 30 * 24 * 3600 * 1_000;

export function outlivedRows(replica: RowReplica, wallTimeMs: number): readonly ReplicatedRow[] {
  const oldest = (table: string, time: string, kept: number, isMeant?: (row: ReplicatedRow) => boolean) => {
    if (replica.countOf(table) <= kept) return [];
    const meant = [...replica.rowsOf(table)].filter((row) => isMeant?.(row) ?? true);
    return meant.sort((a, b) => Number(b.values[time]) - Number(a.values[time])).slice(kept);
  };
  const isExpiredTombstone = (row: ReplicatedRow): boolean =>
    row.deleted && wallTimeMs - stampMs(row.hlc) > tombstonesKeptMs;
  // A revoked token could return at any time before it expires.
  const isLongExpired = ({ values }: ReplicatedRow): boolean =>
    values["expires_at_ms"] !== null && wallTimeMs - Number(values["expires_at_ms"]) > tombstonesKeptMs;
  return [
    ...oldest("events", "at_ms", eventsKept),
    ...oldest("failovers", "decided_at_ms", failoversKept),
    ...oldest("impacts", "at_ms", impactsKept),
    ...oldest("drills", "started_at_ms", drillsKept),
    ...oldest("restoreTests", "at_ms", restoreTestsKept),
    ...oldest("notifications", "at_ms", notificationsKept),
    ...oldest("deliveries", "ended_at_ms", deliveriesKept),
    ...auditClasses.flatMap((name) => oldest("audit", "at_ms", auditKept[name], (row) => auditClassOf(row) === name)),
    ...["hosts", "gateways", "health", "challenges"].flatMap((table) =>
      [...replica.rowsOf(table)].filter(isExpiredTombstone),
    ),
    ...[...replica.rowsOf("tokens")].filter(isLongExpired),
  ];
}

type AuditClass = keyof typeof auditKept;
const auditClasses = Object.keys(auditKept) as readonly AuditClass[];

/** Each is bounded by itself, so that refused calls, of which a stranger can make any number, displace no others. */
function auditClassOf({ values }: ReplicatedRow): AuditClass {
  if (values["who"] === null) return "unknown";
  return values["outcome"] === "refused" ? "refused" : "done";
}
