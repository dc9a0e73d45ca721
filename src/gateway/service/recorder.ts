/**
 * Records events and failovers in the log and twice more: the newest in memory for the admin API, all of them in the
 * database (written behind).
 *
 * The state machine knows no wall time and no ids; both are added here. A failover's id is the gateway, the start of
 * this run and the failover's number, so that its row can be updated later.
 */
import type { EventName } from "../../core/event-name.ts";
import type { ApplicationStatus, CaptureStatus, HostStatus } from "../../control/host-status.ts";
import type {
  EventLevel,
  Failover,
  FailoverEffect,
  FailoverOutcome,
  HostView,
  PhaseSpan,
} from "../../core/failover/state.ts";
import type { Circumstances } from "../../core/failover/circumstances.ts";
import type { Prediction } from "../../core/failover/prediction.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import {
  addEvent,
  type EventRow,
  type FailoverRow,
  putEpoch,
  putFailover,
  putImpact,
  putHealth,
} from "../state/rows.ts";
import type { StateStore } from "../state/store.ts";
import type { FailoverImpact } from "./failover-impacts.ts";
import { FailoverMeter } from "./failover-meter.ts";

const eventsInMemory = 200;
const failoversInMemory = 100;
/** A change of position alone is written at most this often; any other change at once. */
const positionEveryMs = 1_000;

export interface RecorderOptions {
  readonly gateway: string;
  readonly service: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly store: StateStore;
}

/** A check that fails only briefly is no event: the application may just be busy. */
const failingRecordedAfterMs = 5_000;

interface WrittenHealth {
  readonly fingerprint: string;
  readonly position: number | undefined;
  readonly at: number;
}

type HealthStatus = Pick<HostStatus, "application" | "suspects" | "capture" | "vaultCopies">;

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #run: number;
  readonly #meter: FailoverMeter;
  readonly #events: EventRow[] = [];
  readonly #failovers = new Map<number, FailoverRow>();
  readonly #health = new Map<string, WrittenHealth>();
  /** The state last recorded of each host whose application is impaired. */
  readonly #impairedApplications = new Map<string, ApplicationStatus["state"]>();
  #lastEvent = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#run = options.clock.wallTime();
    this.#meter = new FailoverMeter(options.metrics, options.service);
  }

  /** Newest last. */
  get events(): readonly EventRow[] {
    return this.#events;
  }

  /** Of this run of the gateway, oldest first. */
  get failovers(): readonly FailoverRow[] {
    return [...this.#failovers.values()];
  }

  find(key: number): FailoverRow | undefined {
    return this.#failovers.get(key);
  }

  /** `sharedId`: of an event that every gateway records, and that is one in the shared table. */
  recordEvent(level: EventLevel, what: EventName, host: string | undefined, detail: string, sharedId?: string): void {
    const { gateway, service, clock, log, store } = this.#options;
    log[level === "warning" ? "warn" : level](what, { service, ...(host === undefined ? {} : { host }), detail });
    const id = sharedId ?? `${gateway}.${service}.${Math.floor(this.#run)}.${++this.#lastEvent}`;
    const row: EventRow = {
      id,
      atMs: Math.floor(clock.wallTime()),
      gateway,
      service,
      host: host ?? null,
      level,
      what,
      detail,
    };
    this.#events.push(row);
    if (this.#events.length > eventsInMemory) this.#events.shift();
    store.write(addEvent(row));
  }

  epoch(effect: Extract<FailoverEffect, { kind: "record-epoch" }>): void {
    const { service, clock, store } = this.#options;
    store.write(
      putEpoch({
        service,
        epoch: effect.epoch,
        host: effect.host,
        dataUrl: effect.dataUrl ?? null,
        firstSeenAtMs: Math.floor(clock.wallTime()),
      }),
    );
  }

  /**
   * `prediction`, `circumstances`: what was expected when it began, and what it rests on; undefined: already recorded,
   * or unknown.
   */
  failover(
    failover: Failover,
    outcome: FailoverOutcome,
    {
      prediction,
      circumstances,
    }: { prediction?: Prediction | undefined; circumstances?: Circumstances | undefined } = {},
  ): void {
    const { gateway, service, clock, store } = this.#options;
    this.#meter.count(failover, outcome);
    const before = this.#failovers.get(failover.key);
    const sinceDecisionMs = clock.now() - failover.decidedAt;
    const { phases } = failover;
    const row: FailoverRow = {
      id: `${gateway}.${service}.${Math.floor(this.#run)}.${failover.key}`,
      service,
      gateway,
      kind: failover.kind,
      outcome,
      fromHost: failover.from ?? null,
      toHost: failover.to ?? null,
      epochFrom: failover.epochFrom,
      epochTo: failover.epochTo ?? null,
      attempts: failover.attempts,
      decidedAtMs: before?.decidedAtMs ?? Math.floor(clock.wallTime() - sinceDecisionMs),
      detectMs: phases.detect ?? null,
      agreeMs: phases.agree ?? null,
      demoteMs: phases.demote ?? null,
      claimMs: phases.claim ?? null,
      leaseMs: phases.lease ?? null,
      catchUpMs: phases.catchUp ?? null,
      startMs: phases.start ?? null,
      routeMs: phases.route ?? null,
      waitMs: phases.wait ?? null,
      retryMs: phases.retry ?? null,
      gapMs: before?.gapMs ?? null,
      gapStartMs: before?.gapStartMs ?? null,
      timeline: JSON.stringify(failover.timeline.map(inTenths)),
      cause: failover.cause?.text ?? null,
      predictedMs: before?.predictedMs ?? prediction?.gapMs ?? null,
      // Each further candidate that is asked changes who is left; what was seen is that of the decision.
      candidates: circumstances === undefined ? (before?.candidates ?? null) : JSON.stringify(circumstances.candidates),
      evidence: before?.evidence ?? (circumstances === undefined ? null : JSON.stringify(circumstances.evidence)),
      prediction: before?.prediction ?? (prediction === undefined ? null : JSON.stringify(prediction.phases)),
    };
    this.#keep(failover.key, row);
    store.write(putFailover(row));
  }

  impact(impact: FailoverImpact): void {
    const { gateway, service, clock, store } = this.#options;
    store.write(putImpact({ service, gateway, atMs: Math.floor(clock.wallTime()), ...impact }));
  }

  /** `startMs`: after the decision; negative before it. */
  gap(key: number, gapMs: number, startMs: number): void {
    this.#meter.gap(gapMs);
    const row = this.#failovers.get(key);
    if (row === undefined) return;
    const measured = { ...row, gapMs, gapStartMs: startMs };
    this.#keep(key, measured);
    this.#options.store.write(putFailover(measured));
  }

  /**
   * Writes a host's health when a change concerns others. `suspects`: requests that are set aside; undefined: unknown.
   */
  health(view: HostView, status: HealthStatus | undefined): void {
    const { gateway, service, clock, store } = this.#options;
    const { report } = view;
    const application = status?.application ?? null;
    if (application !== null) this.#recordApplication(view.id, application);
    const cause = view.health.kind === "down" ? view.health.cause : undefined;
    const condition = {
      ...conditionOf(view),
      ...longLogsOf(view, status?.capture?.longLogs ?? []),
      ...vaultCopiesOf(status?.vaultCopies ?? []),
      suspects: status?.suspects.length ?? null,
    };
    const { retryAtMs: _, longLogsSinceMs: __, vaultCopyLagMs: ___, vaultCopyLagBytes: ____, ...lasting } = condition;
    const fingerprint = `${view.health.kind}\n${cause}\n${report?.role}\n${report?.instance}\n${report?.epoch}\n${JSON.stringify(lasting)}\n${report?.retry?.attempts}`;
    const position = report?.position;
    const before = this.#health.get(view.id);
    const now = clock.now();
    if (
      before !== undefined &&
      before.fingerprint === fingerprint &&
      (before.position === position || now - before.at < positionEveryMs)
    )
      return;
    this.#health.set(view.id, { fingerprint, position, at: now });
    store.write(
      putHealth({
        gateway,
        service,
        host: view.id,
        health: view.health.kind,
        cause: cause ?? null,
        role: report?.role ?? null,
        instance: report?.instance ?? null,
        epoch: report?.epoch ?? null,
        position: position ?? null,
        changedAtMs: Math.floor(clock.wallTime()),
        ...condition,
        retryAtMs: condition.retryAtMs === null ? null : Math.floor(clock.wallTime() + condition.retryAtMs - now),
        longLogsSinceMs:
          condition.longLogsSinceMs === null ? null : Math.floor(clock.wallTime() + condition.longLogsSinceMs - now),
        deleted: false,
      }),
    );
  }

  #recordApplication(host: string, { state, forMs, detail, restarts }: ApplicationStatus): void {
    const known = this.#impairedApplications.get(host);
    switch (state) {
      case "stuck":
      case "restarting":
      case "failing":
        if (known === state || (state === "failing" && forMs < failingRecordedAfterMs)) return;
        this.#impairedApplications.set(host, state);
        return this.recordEvent("warning", `application-${state}`, host, detail ?? "");
      case "ready":
        if (known === undefined) return;
        this.#impairedApplications.delete(host);
        return this.recordEvent("info", "application-ready", host, `restarts in its window: ${restarts}`);
      case "starting":
      case "stopped":
        this.#impairedApplications.delete(host);
    }
  }

  hostRemoved(host: string): void {
    const { gateway, service, clock, store } = this.#options;
    this.#health.delete(host);
    this.#impairedApplications.delete(host);
    store.write(
      putHealth({
        gateway,
        service,
        host,
        health: "unknown",
        changedAtMs: Math.floor(clock.wallTime()),
        deleted: true,
      }),
    );
  }

  #keep(key: number, row: FailoverRow): void {
    this.#failovers.set(key, row);
    const oldest = this.#failovers.keys().next().value;
    if (this.#failovers.size > failoversInMemory && oldest !== undefined) this.#failovers.delete(oldest);
  }
}

const inTenths = ({ phase, startMs, ms }: PhaseSpan): PhaseSpan => ({
  phase,
  startMs: Math.round(startMs * 10) / 10,
  ms: Math.round(ms * 10) / 10,
});

/** Returns a host's application, disks and vault for its row of health; `retryAtMs` monotonic. */
function conditionOf({ report, reportAt }: HostView) {
  const impairments = report?.impairments.map(({ kind, reason }) => `${kind}: ${reason}`).join("; ") ?? "";
  return {
    application: report?.application?.state ?? null,
    impairments: impairments === "" ? null : impairments,
    vaultError: report?.vault?.writeError ?? null,
    retryReason: report?.retry?.reason ?? null,
    retryAtMs: report === undefined || report.retry === undefined ? null : reportAt + report.retry.inMs,
  };
}

/** Returns its write-ahead logs that cannot start over, for its row of health; `longLogsSinceMs` monotonic. */
function longLogsOf({ reportAt }: HostView, logs: CaptureStatus["longLogs"]) {
  if (logs.length === 0) return { longLogs: null, longLogsSinceMs: null };
  const longLogs = logs
    .map(
      ({ database, walBytes, heldBy }) =>
        `${database}: at least ${wholeMiB(walBytes)} MiB, ${heldBy.join(", ") || "unknown process"}`,
    )
    .join("; ");
  return { longLogs, longLogsSinceMs: reportAt - Math.max(...logs.map(({ heldMs }) => heldMs)) };
}

/** Returns the copies of the vault that it writes, for its row of health. */
function vaultCopiesOf(copies: HostStatus["vaultCopies"]) {
  if (copies.length === 0) return { vaultCopies: null, vaultCopyLagMs: null, vaultCopyLagBytes: null };
  const lags = copies.map(({ lagMs }) => lagMs).filter((lagMs) => lagMs !== null);
  return {
    vaultCopies: copies
      .map(({ to, error, isStalled }) => `${to}: ${error ?? (isStalled ? "no progress" : "copied")}`)
      .join("; "),
    vaultCopyLagMs: lags.length < copies.length ? null : Math.floor(Math.max(...lags)),
    vaultCopyLagBytes: Math.max(...copies.map(({ lagBytes }) => lagBytes)),
  };
}

/** Rounds down to a power of two, in MiB, so that a growing log is not rewritten at each look. */
const wholeMiB = (bytes: number): number => 2 ** Math.floor(Math.log2(bytes / 2 ** 20));
