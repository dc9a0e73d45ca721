/** Builds a host's status from the parts that know (src/control/host-status.ts has the meaning of each field). */
import type { HostConfig } from "../config/types.ts";
import {
  type CaptureStatus,
  type CheckpointProgress,
  type FilesStatus,
  type HostStatus,
  type RehearsalResult,
  untold,
} from "../control/host-status.ts";
import type { RestoreTestResult } from "../control/restore-test.ts";
import type { VaultCopyStatus } from "../control/vault-copy.ts";
import { retryInMs } from "../core/host/retry-schedule.ts";
import { newestRecordFormat, type RecordFormat } from "../core/record-format.ts";
import type { Suspects } from "../core/suspects.ts";
import type { Canary } from "./machine/canary.ts";
import type { Driver } from "./driver.ts";
import type { Hooks } from "./hooks.ts";
import type { HostPorts } from "./host-ports.ts";
import type { Checkpointer } from "./primary/checkpointer.ts";
import type { LogStatus } from "./secondary/log-status.ts";
import type { Warnings } from "./ports/warnings.ts";
import type { CaptureSource } from "./ports/ports.ts";
import { versionText } from "../runtime/program-version.ts";
import { withNulls } from "../control/nulls.ts";

/** Number of set-aside folders shown, newest ones. */
const setAsidesShown = 20;

export interface SelfReportOptions {
  readonly config: HostConfig;
  readonly instance: string;
  readonly log: LogStatus;
  readonly driver: Driver;
  readonly warnings: Warnings;
  readonly canary: Canary;
  readonly rehearsal: RehearsalResult | null;
  readonly restoreTest: RestoreTestResult | undefined;
  readonly vaultCopies: readonly VaultCopyStatus[];
  readonly hooks: Hooks;
  /** Format of the records that it writes as a primary. */
  readonly recordFormat: RecordFormat;
  readonly dataUrl: string;
  readonly suspects: Pick<Suspects, "list">;
  readonly certificateWarnings: readonly string[];
  readonly secret: HostPorts["secret"];
  /** Monotonic. */
  readonly now: number;
  readonly wallTimeMs: number;
}

export function selfReport({
  config,
  instance,
  log,
  driver,
  warnings,
  canary,
  rehearsal,
  restoreTest,
  vaultCopies,
  hooks,
  recordFormat,
  dataUrl,
  suspects,
  certificateWarnings,
  secret,
  now,
  wallTimeMs,
}: SelfReportOptions): HostStatus {
  const known = suspects.list(now);
  const { service, id: host, controlUrl, priority, nofailover, leaseMs } = config;
  const { epoch, checkpoint } = log;
  const { state, retry, term } = driver;
  const vaultAnsweredAt = term?.journal.lastPutStartedAt ?? driver.secondary?.follower.answeredAt;
  return {
    version: 1,
    service,
    host,
    instance,
    role: state.kind,
    reason: "reason" in state ? state.reason : null,
    epoch: epoch?.epoch ?? 0,
    epochHost: epoch?.host ?? null,
    position: term?.position ?? log.position,
    lastRecordAgeMs: log.lastRecordAgeMs ?? null,
    vaultSilentMs: vaultAnsweredAt === undefined ? null : now - vaultAnsweredAt,
    clockMs: now,
    handover: log.handover ?? null,
    vacated: epoch?.vacated ?? false,
    dataUrl,
    controlUrl,
    priority,
    nofailover,
    leaseMs,
    checkpoint: checkpoint === undefined ? null : { position: checkpoint.position, wallTimeMs: checkpoint.wallTimeMs },
    setAside: driver.setAsides.slice(-setAsidesShown),
    ...untold,
    checkpointProgress: checkpointProgressOf(term?.checkpointer),
    application: term?.application.status ?? {
      state: "stopped",
      forMs: now - driver.noTermSince,
      detail: null,
      restarts: 0,
      startMs: null,
      patienceMs: null,
    },
    impairments: canary.impairments,
    vault: withNulls(canary.vault),
    retry:
      retry === undefined || state.kind === "primary"
        ? null
        : { reason: retry.reason, inMs: retryInMs(retry, now), attempts: retry.attempts },
    suspects: known.filter(({ pauseMs }) => pauseMs > 0),
    watchedRequests: known.filter(({ pauseMs }) => pauseMs === 0),
    capture: captureOf(term?.source),
    files: filesOf(config, driver),
    rehearsal,
    restoreTest: restoreTest ?? null,
    vaultCopies: [...vaultCopies],
    hooks: hooks.runs.map(withNulls),
    recordFormat: { reads: newestRecordFormat, writes: term === undefined ? null : recordFormat },
    takesNames: true,
    rewound: log.rewound ?? null,
    secret: secret?.status() ?? null,
    program: { version: versionText(), wallTimeMs: Math.floor(wallTimeMs), vaultUrl: config.vaultUrl },
    warnings: [...warnings.texts, ...certificateWarnings, ...(secret?.warnings ?? [])],
  };
}

function checkpointProgressOf(checkpointer: Pick<Checkpointer, "progress"> | undefined): CheckpointProgress | null {
  const progress = checkpointer?.progress;
  if (progress === undefined) return null;
  const { done: bytes, total: totalBytes, perSecond, leftMs } = progress;
  return { bytes, totalBytes, bytesPerSecond: perSecond ?? null, leftMs: leftMs ?? null };
}

/** As captured, or as the log made them here; null: `host.files` covers none, or none are open now. */
function filesOf(
  { files }: SelfReportOptions["config"],
  { term, secondary }: Pick<Driver, "term" | "secondary">,
): FilesStatus | null {
  if (files === undefined) return null;
  const tree = secondary?.replica.files;
  return term?.source?.coveredFiles?.() ?? (tree === undefined ? null : { count: tree.size, bytes: tree.bytes });
}

function captureOf(source: CaptureSource | undefined): CaptureStatus | null {
  const locks = source?.writeLocks?.();
  if (locks === undefined) return null;
  const { count, totalMs, maxMs } = locks;
  const longLogs = (source?.longLogs?.list ?? []).map(({ heldBy, ...log }) => ({ ...log, heldBy: [...heldBy] }));
  return { writeLocks: { count, totalMs, maxMs }, longLogs };
}
