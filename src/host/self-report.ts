/**
 * What a host says about itself, put together from the parts that know (src/control/host-status.ts has the meaning of
 * each field).
 */
import type { HostConfig } from "../config/types.ts";
import { type CaptureStatus, type HostStatus, type RehearsalResult, untold } from "../control/host-status.ts";
import type { HostState } from "../core/host/life.ts";
import { retryInMs, type RetrySchedule } from "../core/host/retry-schedule.ts";
import { newestRecordFormat, type RecordFormat } from "../core/record-format.ts";
import type { Suspects } from "../core/suspects.ts";
import type { Canary } from "./machine/canary.ts";
import type { Duties } from "./duties.ts";
import type { LogStatus } from "./secondary/log-status.ts";
import type { Warnings } from "./ports/warnings.ts";
import type { CaptureSource } from "./ports/ports.ts";
import { withNulls } from "../control/nulls.ts";

/** Of the folders with set-aside data the newest are shown. */
const setAsidesShown = 20;

export interface SelfReportOptions {
  readonly config: HostConfig;
  readonly instance: string;
  readonly state: HostState;
  readonly log: LogStatus;
  readonly duties: Duties;
  readonly warnings: Warnings;
  readonly canary: Canary;
  readonly retry: RetrySchedule | undefined;
  readonly rehearsal: RehearsalResult | null;
  /** Of the records that it writes, as a primary. */
  readonly recordFormat: RecordFormat;
  readonly dataUrl: string;
  readonly suspects: Pick<Suspects, "list">;
  /** Monotonic. */
  readonly now: number;
}

export function selfReport({
  config,
  instance,
  state,
  log,
  duties,
  warnings,
  canary,
  retry,
  rehearsal,
  recordFormat,
  dataUrl,
  suspects,
  now,
}: SelfReportOptions): HostStatus {
  const known = suspects.list(now);
  const { service, id: host, controlUrl, priority, nofailover, leaseMs } = config;
  const { epoch } = log;
  const { checkpoint } = duties;
  return {
    version: 1,
    service,
    host,
    instance,
    role: state.kind,
    reason: "reason" in state ? state.reason : null,
    epoch: epoch?.epoch ?? 0,
    epochHost: epoch?.host ?? null,
    position: duties.term?.position ?? log.position,
    lastRecordAgeMs: log.lastRecordAgeMs ?? null,
    vaultSilentMs: duties.vaultAnsweredAt === undefined ? null : now - duties.vaultAnsweredAt,
    clockMs: now,
    handover: log.handover ?? null,
    vacated: epoch?.vacated ?? false,
    dataUrl,
    controlUrl,
    priority,
    nofailover,
    leaseMs,
    checkpoint: checkpoint === undefined ? null : { position: checkpoint.position, wallTimeMs: checkpoint.wallTimeMs },
    setAside: duties.setAsides.slice(-setAsidesShown),
    ...untold,
    application: duties.term?.application.status ?? {
      state: "stopped",
      forMs: now - duties.noTermSince,
      detail: null,
      restarts: 0,
    },
    impairments: canary.impairments,
    vault: withNulls(canary.vault),
    retry:
      retry === undefined || state.kind === "primary"
        ? null
        : { reason: retry.reason, inMs: retryInMs(retry, now), attempts: retry.attempts },
    suspects: known.filter(({ pauseMs }) => pauseMs > 0),
    watchedRequests: known.filter(({ pauseMs }) => pauseMs === 0),
    capture: captureOf(duties.term?.source),
    rehearsal,
    recordFormat: { reads: newestRecordFormat, writes: duties.term === undefined ? null : recordFormat },
    warnings: [...warnings.texts],
  };
}

function captureOf(source: CaptureSource | undefined): CaptureStatus | null {
  const locks = source?.writeLocks?.();
  if (locks === undefined) return null;
  const { count, totalMs, maxMs } = locks;
  const longLogs = (source?.longLogs?.list ?? []).map(({ heldBy, ...log }) => ({ ...log, heldBy: [...heldBy] }));
  return { writeLocks: { count, totalMs, maxMs }, longLogs };
}
