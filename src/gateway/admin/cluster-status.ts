/** Builds the answer to `/v1/cluster` from what the gateway knows now. */
import { downInWords } from "../../core/failover/health.ts";
import * as v from "valibot";
import { effectiveNofailover, effectivePriority } from "../../core/failover/candidate.ts";
import { brakeInWords, currentRow } from "../../core/failover/brake.ts";
import { downInFull } from "../../core/failover/order.ts";
import type { HostView, OrderTerms, Phase, ServiceState } from "../../core/failover/state.ts";
import { oldestRecordFormat } from "../../core/record-format.ts";
import { vaultInWords } from "../../core/failover/vault.ts";
import { hostRoles, type HostRole, type HostStatus, untold } from "../../control/host-status.ts";
import { type ClusterHost, type ClusterService } from "../../control/gateway-api.ts";
import type { PlannedDrillEntry } from "../../control/drill-api.ts";
import { type FailoverEntry, phaseSpanSchema } from "../../control/failover-api.ts";
import type { ServiceRuntime } from "../service/service.ts";
import type { DrillRow, FailoverRow } from "../state/rows.ts";
import { drillEntry } from "./drills.ts";

/** What the rows of all gateways tell about a service. */
export interface ServiceHistory {
  /** Oldest first. */
  readonly failovers: readonly FailoverRow[];
  readonly lastDrill?: DrillRow | undefined;
  readonly nextDrill?: PlannedDrillEntry | undefined;
}

/** For readers of the present alone. */
export const noHistory: ServiceHistory = { failovers: [] };

export function serviceStatus(service: ServiceRuntime, now: number, history: ServiceHistory): ClusterService {
  const { state, route, traffic, recorder } = service;
  const primaryPosition =
    state.primary === undefined ? undefined : state.hosts.get(state.primary.host)?.report?.position;
  return {
    name: service.name,
    phase: state.phase.kind,
    reason: reasonOf(state, now),
    vault: vaultOf(state, now),
    row: rowOf(state, now),
    primary: state.primary?.host ?? null,
    epoch: state.primary?.epoch ?? 0,
    paused: state.automation.kind === "paused",
    pause: pauseOf(state),
    maintenance: maintenanceOf(service),
    routedTo: state.routed.kind === "host" ? state.routed.host : null,
    waiting: { ...route.waiting },
    requests: traffic.counts,
    requestsPerSecond: traffic.ratePerSecond,
    hosts: [...state.hosts.values()].map((view) => hostStatus(service, view, primaryPosition, now)),
    failovers: history.failovers.map(failoverEntry),
    drill: {
      last: history.lastDrill === undefined ? null : drillEntry(history.lastDrill),
      next: history.nextDrill ?? null,
    },
    events: recorder.events.map(({ atMs, level, what, host, detail }) => ({
      atMs,
      level: level === "warning" || level === "error" ? level : "info",
      what,
      host: host ?? null,
      detail,
    })),
  };
}

function hostStatus(
  service: ServiceRuntime,
  view: HostView,
  primaryPosition: number | undefined,
  now: number,
): ClusterHost {
  const monitor = service.monitorOf(view.id);
  const status = monitor?.status;
  const { report } = view;
  const warnings = [
    ...(status === undefined || view.health.kind === "down" ? [] : healthWarnings(status)),
    ...(status?.warnings ?? []),
  ];
  if (monitor?.warning !== undefined) warnings.push(monitor.warning);
  if (status !== undefined && view.health.kind !== "down") warnings.push(...recordFormatWarnings(service, status));
  if (report !== undefined && report.service !== service.name)
    warnings.push(`it belongs to the service "${report.service}"`);
  for (const { method, path, trialInMs } of report?.role === "primary" ? (status?.suspects ?? []) : []) {
    warnings.push(
      `${method} ${path} is set aside: the application ended twice while such a request was in flight; the next trial is in ${Math.ceil(trialInMs / 1000)} s`,
    );
  }
  if (view.health.kind === "down") warnings.push(downInWords(view.health.cause));
  else if (report?.role === "primary" && report.epoch < (service.state.primary?.epoch ?? 0))
    warnings.push(olderPrimary(report.epoch));
  return {
    id: view.id,
    controlUrl: view.controlUrl,
    dataUrl: report?.dataUrl ?? null,
    health: view.health.kind,
    role: report === undefined ? null : roleOf(report.role),
    reason: report?.reason ?? null,
    epoch: report?.epoch ?? null,
    position: report?.position ?? null,
    lag: report === undefined || primaryPosition === undefined ? null : Math.max(0, primaryPosition - report.position),
    priority: effectivePriority(view),
    nofailover: effectiveNofailover(view),
    heardMsAgo: Number.isFinite(view.reportAt) ? Math.max(0, now - view.reportAt) : null,
    checkpoint: status?.checkpoint ?? null,
    setAside: status?.setAside ?? [],
    ...(status === undefined ? untold : toldBy(status)),
    lease: status === undefined ? null : { ms: status.leaseMs, lastRecordAgeMs: status.lastRecordAgeMs },
    program: programOf(service, view.id),
    notes: warnings,
  };
}

function programOf(service: ServiceRuntime, host: string): ClusterHost["program"] {
  const { status, clockAheadMs } = service.monitorOf(host) ?? {};
  const { program, controlUrl } = status ?? {};
  if (program === undefined || program === null || controlUrl === undefined || clockAheadMs === undefined) return null;
  return { version: program.version, clockAheadMs, controlUrl, vaultUrl: program.vaultUrl };
}

/** Warnings about a host that has an earlier version than others. */
function recordFormatWarnings(service: ServiceRuntime, { recordFormat }: HostStatus): string[] {
  const others = [...service.state.hosts.keys()].map(
    (id) => service.monitorOf(id)?.status?.recordFormat?.reads ?? oldestRecordFormat,
  );
  const reads = recordFormat?.reads ?? oldestRecordFormat;
  const newest = Math.max(reads, ...others);
  return reads >= newest
    ? []
    : [
        `reads records of format ${reads} and none newer, while other hosts read format ${newest}: the primary writes format ${reads} until this host is upgraded`,
      ];
}

/**
 * Passes if the host was replaced: it is about to read that in the log. Lasts if its log starts over: no gateway then
 * routes to it.
 */
const olderPrimary = (epoch: number): string =>
  `primary of epoch ${epoch}, which is older than what this gateway knows: it was replaced a moment ago, or its vault is a new one, and then every gateway has to be started without its database`;

const roleOf = (role: string): HostRole | null => hostRoles.find((known) => known === role) ?? null;

const toldBy = ({
  checkpointProgress,
  files,
  application,
  impairments,
  retry,
  suspects,
  vault,
  rehearsal,
  restoreTest,
  vaultCopies,
  capture,
  recordFormat,
  secret,
}: HostStatus) => ({
  ...{ application, impairments, retry, suspects, vault, rehearsal, restoreTest, capture, recordFormat, secret },
  ...{ vaultCopies, checkpointProgress, files },
});

/** Warnings about the host's application, disks and vault, in an operator's words; none if all is healthy. */
function healthWarnings({
  application,
  impairments,
  retry,
  suspects,
  rehearsal,
  restoreTest,
  vaultCopies,
  capture,
}: HostStatus): string[] {
  const warnings: string[] = [];
  if (retry !== null) {
    const when = retry.inMs > 0 ? `retries in ${seconds(retry.inMs)}` : "candidate of last resort";
    warnings.push(`${when}: ${retry.reason}${retry.attempts > 1 ? ` (${retry.attempts} times)` : ""}`);
  }
  for (const { kind, reason, forMs } of impairments) warnings.push(`${kind} impaired for ${seconds(forMs)}: ${reason}`);
  if (application !== null && application.state !== "ready" && application.state !== "stopped") {
    warnings.push(
      `application ${application.state} for ${seconds(application.forMs)}${application.detail === null ? "" : `: ${application.detail}`}`,
    );
  }
  for (const { database, walBytes, heldMs, heldBy } of capture?.longLogs ?? []) {
    warnings.push(
      `${database}: write-ahead log of ${Math.floor(walBytes / 2 ** 20)} MiB, which a reader has kept from starting over for ${seconds(heldMs)}: ${heldBy.join(", ") || "unknown process"}`,
    );
  }
  if (restoreTest !== null && restoreTest.outcome !== "passed")
    warnings.push(
      `restore test of ${new Date(restoreTest.atMs).toISOString()} ${restoreTest.outcome}: ${inOneLine(restoreTest.detail ?? "without a reason")}`,
    );
  for (const { to, isStalled, lagMs, lagBytes, error } of vaultCopies) {
    if (error === null && !isStalled) continue;
    const missing = lagMs === null ? "not whole yet" : `${seconds(lagMs)} and ${lagBytes} bytes behind`;
    warnings.push(`copy of the vault at ${to}: ${missing}${error === null ? "" : `: ${inOneLine(error)}`}`);
  }
  if (rehearsal?.ok === false)
    warnings.push(
      `rehearsal of ${new Date(rehearsal.atMs).toISOString()} failed: ${inOneLine(rehearsal.detail ?? "without a reason")}`,
    );
  if (suspects.length > 0) warnings.push(`${suspects.length} suspect request${suspects.length === 1 ? "" : "s"}`);
  return warnings;
}

const inOneLine = (text: string): string => text.replaceAll(/\s*\n\s*/g, " / ");

const seconds = (ms: number): string => `${Math.ceil(ms / 1_000)} s`;

function vaultOf({ vault }: ServiceState, now: number): ClusterService["vault"] {
  const isTold = vault.kind === "away" || (vault.kind === "slow" && vault.isTold);
  return isTold ? { state: vault.kind, forMs: now - vault.since } : { state: "well", forMs: 0 };
}

const pauseOf = ({ automation }: ServiceState): ClusterService["pause"] =>
  automation.kind === "on" ? null : termsOf(automation.terms);

export const maintenanceOf = ({ maintenance }: ServiceRuntime): ClusterService["maintenance"] =>
  maintenance === undefined ? null : termsOf(maintenance);

const termsOf = ({ reason, untilMs }: OrderTerms) => ({ reason: reason ?? null, untilMs: untilMs ?? null });

function rowOf(state: ServiceState, now: number): ClusterService["row"] {
  const row = currentRow(state, now);
  return row === undefined
    ? null
    : { count: row.nth, cause: row.cause.text, spanMs: row.spanMs, waitMs: Math.max(0, row.until - now) };
}

function reasonOf(state: ServiceState, now: number): string | null {
  const why = phaseReason(state.phase) ?? vaultInWords(state.vault, now) ?? state.stays;
  if (why !== undefined) return why;
  const row = currentRow(state, now);
  if (row !== undefined) return brakeInWords(row, row.epoch);
  return state.routed.kind === "hold" ? state.routed.reason : null;
}

function phaseReason(phase: Phase): string | null {
  switch (phase.kind) {
    case "unknown":
    case "awaiting":
    case "serving":
      return null;
    case "suspect":
      return phase.cause;
    case "agreeing":
      return "waiting for the views of the other gateways";
    case "promoting":
      return `host ${phase.candidate} is being promoted`;
    case "demoting":
      return `host ${phase.failover.from ?? "?"} is stepping down`;
    case "down":
      return phase.because.kind === "no-candidate"
        ? `no host can take over: ${downInFull(phase.because)}`
        : downInFull(phase.because);
  }
}

export function failoverEntry(row: FailoverRow): FailoverEntry {
  return {
    id: row.id,
    service: row.service,
    gateway: row.gateway,
    kind: row.kind,
    outcome: row.outcome,
    from: row.fromHost ?? null,
    to: row.toHost ?? null,
    epochFrom: row.epochFrom,
    epochTo: row.epochTo ?? null,
    attempts: row.attempts,
    decidedAtMs: row.decidedAtMs,
    phases: {
      detect: row.detectMs ?? null,
      agree: row.agreeMs ?? null,
      demote: row.demoteMs ?? null,
      claim: row.claimMs ?? null,
      lease: row.leaseMs ?? null,
      catchUp: row.catchUpMs ?? null,
      start: row.startMs ?? null,
      route: row.routeMs ?? null,
      wait: row.waitMs ?? null,
      retry: row.retryMs ?? null,
    },
    gapMs: row.gapMs ?? null,
    gapStartMs: row.gapStartMs ?? null,
    timeline: spansOf(row.timeline ?? null),
    predictedMs: row.predictedMs ?? null,
    cause: row.cause ?? null,
  };
}

/** Another gateway has written the text. */
function spansOf(timeline: string | null): FailoverEntry["timeline"] {
  try {
    const parsed = v.safeParse(v.array(phaseSpanSchema), JSON.parse(timeline ?? "[]"));
    return parsed.success ? parsed.output : [];
  } catch {
    return [];
  }
}
