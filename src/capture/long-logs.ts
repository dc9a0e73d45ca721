/**
 * Long write-ahead logs that cannot start over, since when, and the processes that prevent it. A reader that never ends
 * its transaction costs disk space and slows all other reads, while all data is right.
 *
 * A log starts over once all of it is backfilled. That is prevented if frames remain that no checkpoint copies, however
 * often it is tried (`tidy` keeps trying). Readers prevent it: each has a shared lock on one of five bytes of the index
 * (walformat.html, section 2.3.1), with the frame up to which it reads beside it. Checkpoints copy up to the frame of
 * the reader that is furthest behind, so the readers named are those in /proc/locks whose frame is not beyond what is
 * copied. Later readers prevent nothing: while this host writes a checkpoint, or copies a long log, ordinary
 * transactions of the application would otherwise be named.
 */
import { type FileLocks, readerLockByte } from "./file-locks.ts";
import { longLogBytes, longLogLookMs } from "./limits.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { processName } from "./open-files.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import { sameGeneration, type WalIndex } from "./wal-index.ts";

export interface LongLog {
  readonly database: string;
  /** Frames that are in use, bytes. */
  readonly walBytes: number;
  /** How long it has been prevented from starting over, milliseconds. */
  readonly heldMs: number;
  /** `4711 (python3)`; empty if the system does not report it. */
  readonly heldBy: readonly string[];
}

interface Held {
  readonly index: WalIndex;
  readonly sinceMs: number;
}

export class LongLogs {
  readonly #metrics: Metrics;
  readonly #held = new Map<string, Held>();
  #list: readonly LongLog[] = [];
  #lookAtMs = 0;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  get list(): readonly LongLog[] {
    return this.#list;
  }

  /** At the last look every long log could start over with the next commit. */
  get canAllStartOver(): boolean {
    return this.#held.size === 0;
  }

  /** Sync; at intervals, one pread per database. `locks`: a recent list. */
  look(databases: Iterable<TrackedDatabase>, locks: FileLocks | undefined, nowMs: number): void {
    if (nowMs < this.#lookAtMs) return;
    this.#lookAtMs = nowMs + longLogLookMs;
    const before = new Map(this.#held);
    this.#held.clear();
    const list: LongLog[] = [];
    const sizes = { total: 0, largest: 0 };
    for (const database of databases) {
      const index = database.captured === undefined ? undefined : database.look();
      if (index === undefined) continue;
      const walBytes = database.walBytes(index);
      sizes.total += walBytes;
      sizes.largest = Math.max(sizes.largest, walBytes);
      if (index.nBackfill === index.mxFrame || walBytes < longLogBytes) continue;
      const known = before.get(database.name);
      const isHeld =
        known !== undefined && sameGeneration(known.index, index) && known.index.nBackfill === index.nBackfill;
      this.#held.set(database.name, isHeld ? known : { index, sinceMs: nowMs });
      if (!isHeld) continue;
      const heldBy = holders(database, index, locks);
      if (heldBy.length > 0 || locks === undefined)
        list.push({ database: database.name, walBytes, heldMs: nowMs - known.sinceMs, heldBy });
    }
    this.#list = list;
    this.#show(sizes);
  }

  /** Nothing is captured any more. */
  close(): void {
    this.#held.clear();
    this.#list = [];
    this.#show(undefined);
  }

  #show(sizes: { readonly total: number; readonly largest: number } | undefined): void {
    this.#metrics.show("stead_capture_wal_bytes", sizes === undefined ? [] : [[{}, sizes.total]]);
    this.#metrics.show("stead_capture_largest_wal_bytes", sizes === undefined ? [] : [[{}, sizes.largest]]);
    const named = this.#list.map(({ heldBy, ...log }) => ({
      ...log,
      labels: { database: log.database, held_by: heldBy.join(", ") },
    }));
    this.#metrics.show(
      "stead_capture_long_log_bytes",
      named.map(({ labels, walBytes }) => [labels, walBytes]),
    );
    this.#metrics.show(
      "stead_capture_long_log_seconds",
      named.map(({ labels, heldMs }) => [labels, heldMs / 1_000]),
    );
  }
}

/** Returns the readers at a state beyond which nothing is copied; this host itself only if it reads for long. */
function holders(database: TrackedDatabase, { nBackfill }: WalIndex, locks: FileLocks | undefined): string[] {
  const slots = database.index.readMarks().map((mark, slot) => {
    const byte = readerLockByte + slot;
    // A reader that began when everything was backfilled has slot 0, and nothing is copied until it ends.
    return {
      mark: slot === 0 ? 0 : mark,
      pids: locks?.others(database.watch.indexInode, byte, byte) ?? new Set<number>(),
    };
  });
  const behind = slots.filter(({ mark, pids }) => pids.size > 0 && mark <= nBackfill);
  const oldest = Math.min(...behind.map(({ mark }) => mark));
  const names = behind.filter(({ mark }) => mark === oldest).flatMap(({ pids }) => [...pids].map(processName));
  if (database.files.isSnapshotReading) names.push("stead (a checkpoint is being written)");
  if (database.holds > 0) names.push("stead (a large transaction is being journaled)");
  return [...new Set(names)];
}
