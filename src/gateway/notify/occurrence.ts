/** What happened, as the rows of failovers and events tell it, before it is known which gateway tells operators. */
import {
  type NotificationKind,
  type NotifySeverity,
  primaryNotificationId,
  ruleOfEvent,
  subjectOf,
} from "../../core/notify/notification.ts";
import type { events, failovers } from "../state/schema.ts";

export interface Occurrence {
  /** One notification for all occurrences with this key. */
  readonly key: string;
  /** The gateway that acted; undefined: none, all saw it. */
  readonly acting: string | undefined;
  readonly kind: NotificationKind;
  readonly severity: NotifySeverity;
  readonly service: string | undefined;
  readonly host: string | undefined;
  readonly atMs: number;
  readonly summary: string;
  readonly detail: string;
  /** The id; undefined: that of an episode. */
  readonly id: string | undefined;
  /** Of an epoch that no failover explains yet. */
  readonly epoch: number | undefined;
  /** Of a failover that is done: several gateways may have one of the same epoch. */
  readonly takeover?: { readonly service: string; readonly epoch: number } | undefined;
  readonly since: number;
}

export function ofFailover(row: typeof failovers.$inferSelect, since: number): Occurrence | undefined {
  const { service, kind, outcome, fromHost, toHost, epochTo, gateway } = row;
  if (outcome !== "done" || epochTo === null || kind === "first") return undefined;
  const isOrdered = kind === "switchover" || kind === "rewind";
  const id = primaryNotificationId(service, epochTo);
  const cause = row.cause === null ? "" : ` Cause: ${row.cause}.`;
  const attempts = row.attempts > 1 ? ` It took ${row.attempts} attempts.` : "";
  return {
    ...{ key: id, id, acting: gateway, service, host: toHost ?? undefined, since, epoch: undefined },
    takeover: { service, epoch: epochTo },
    kind: isOrdered ? "switchover" : "failover",
    severity: isOrdered ? "info" : "warning",
    atMs: row.decidedAtMs,
    summary: `${service}: ${isOrdered ? "switchover" : "failover"} from ${fromHost ?? "no host"} to ${toHost ?? "?"}`,
    detail: `Epoch ${epochTo}, ${kind}, ordered by gateway ${gateway}.${cause}${attempts}`,
  };
}

export function ofEvent(row: typeof events.$inferSelect, since: number): Occurrence | undefined {
  const rule = ruleOfEvent(row.what);
  // Of a host that was not heard since its gateway started, `host-down` is no warning.
  if (rule === undefined || (row.level === "info" && rule.severity !== "info")) return undefined;
  const { kind, severity, isSeenByAll } = rule;
  const service = row.service ?? undefined;
  const host = row.host ?? undefined;
  const about = [service, host].filter((part) => part !== undefined).join(", ");
  return {
    ...{ kind, severity, service, host, atMs: row.atMs, detail: row.detail, since, epoch: undefined },
    key: isSeenByAll ? subjectOf(kind, service, host) : row.id,
    id: isSeenByAll ? undefined : `event/${row.id}`,
    acting: isSeenByAll ? undefined : row.gateway,
    summary: `${about === "" ? "" : `${about}: `}${kind.replaceAll("-", " ")}`,
  };
}
