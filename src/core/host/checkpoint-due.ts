/** When a primary writes a checkpoint: thresholds and system events. */

export interface CheckpointThresholds {
  readonly intervalMs: number;
  readonly journalBytes: number;
  /** A restore is estimated to take no longer than this. */
  readonly restoreBudgetMs: number;
}

export interface SinceCheckpoint {
  readonly elapsedMs: number;
  /** Bytes of commit records after the newest checkpoint. */
  readonly journalBytes: number;
  /** Records of any kind after it. */
  readonly records: number;
  /** Measured when this host last replayed a journal; the default is deliberately slow. */
  readonly replayBytesPerMs: number;
}

export type CheckpointDue =
  | { readonly kind: "not-due" }
  | { readonly kind: "due"; readonly because: "interval" | "journal_bytes" | "restore_budget" };

/** Bytes per millisecond assumed for a replay that was never measured: 20 MB/s. */
export const replayBytesPerMsDefault = 20_000;

export function checkpointDue(thresholds: CheckpointThresholds, since: SinceCheckpoint): CheckpointDue {
  if (since.records === 0) return { kind: "not-due" };
  if (since.journalBytes >= thresholds.journalBytes) return { kind: "due", because: "journal_bytes" };
  if (since.journalBytes / since.replayBytesPerMs > thresholds.restoreBudgetMs)
    return { kind: "due", because: "restore_budget" };
  if (since.elapsedMs >= thresholds.intervalMs) return { kind: "due", because: "interval" };
  return { kind: "not-due" };
}
