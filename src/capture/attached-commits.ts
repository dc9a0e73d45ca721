/**
 * Whether a cut would show half of a transaction over several ATTACHed databases.
 *
 * SQLite commits such a transaction database by database. In WAL mode there is no super-journal: `vdbeCommit`
 * (vdbeaux.c) calls sqlite3BtreeCommitPhaseOne for each, which writes the commit frame and moves the index, and only
 * when all have done so sqlite3BtreeCommitPhaseTwo, which lets the write locks go. So SQLite itself promises no
 * atomicity across a power failure here (https://www.sqlite.org/lang_attach.html); but while everything runs, readers
 * of the application see both parts, and so must those of the next primary.
 *
 * Claim: when the index of A stands at p and nobody holds A's write lock (byte 120 of the index), every transaction
 * that brought A to p has moved the indexes of all its databases. For it held the lock of A until all of them were
 * moved, and whoever took it since has committed nothing to A. Likewise when who holds it holds the write lock of no
 * other database: then it is a later transaction, or one over A alone. p is *settled* then, and stays so for as long as
 * A stands at p. A cut is whole when every database that moved since the last capture is settled where it stands: all
 * parts of what is visible in one database were in the others before the indexes were read the second time, which found
 * them unchanged (consistent-cut.ts), so they are in the cut. The lock is asked *between* the two reads. Before the
 * first, a transaction could begin and move A after the question; after the second, one that was half visible could
 * have ended before it.
 *
 * A writer that never pauses lets the lock go for microseconds, so the gap is looked for without a pause. Processes are
 * told apart, not their threads: threads that write into several databases look like one transaction over them, and may
 * leave no such gap. So the wait is bounded by `attachedWaitMsMax`, and by less after waits that were for nothing. Then
 * the cut is taken as it is: a transaction whose commit takes longer than that between two of its databases can be
 * taken in two flushes. It is an unacknowledged one: whoever made it has had no answer, and its answer waits for the
 * second flush.
 */
import { type LockHolder, loadLockHolder } from "../runtime/posix-locks.ts";
import { FileLocks, writerLockByte } from "./file-locks.ts";
import { attachedSpinMs, attachedWaitMsMax, attachedWaitMsMin } from "./limits.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import { samePosition, type WalIndex } from "./wal-index.ts";

export class AttachedCommits {
  readonly #all: Iterable<TrackedDatabase>;
  #locks: LockHolder | undefined;
  readonly #settled = new Map<TrackedDatabase, WalIndex>();
  #sinceMs: number | undefined;
  #patienceMs = attachedWaitMsMax;

  /** `all`: every database that is captured, also those in which nothing happens. */
  constructor(all: Iterable<TrackedDatabase>) {
    this.#all = all;
  }

  async begin(): Promise<void> {
    this.#locks ??= await loadLockHolder();
  }

  /** A new cut is looked for. */
  forget(): void {
    this.#settled.clear();
    this.#sinceMs = undefined;
  }

  /**
   * True when every database of the cut that moved is settled where it stands. Call it between the two reads of the
   * indexes. Sync.
   */
  areSettled(cut: ReadonlyMap<TrackedDatabase, WalIndex>): boolean {
    if (cut.size < 2) return true;
    let areSettled = true;
    for (const [database, index] of cut) {
      if (database.captured !== undefined && samePosition(database.captured, index)) continue;
      const at = this.#settled.get(database);
      if (at !== undefined && samePosition(at, index)) continue;
      if (this.#isMidTransaction(database) && !this.#hasGap(database, index)) areSettled = false;
      else this.#settled.set(database, index);
    }
    if (areSettled && this.#sinceMs !== undefined) this.#patienceMs = Math.min(attachedWaitMsMax, this.#patienceMs * 4);
    return areSettled;
  }

  /** It was waited for long enough. */
  isOverdue(nowMs: number): boolean {
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs <= this.#patienceMs) return false;
    this.#patienceMs = Math.max(attachedWaitMsMin, this.#patienceMs / 2);
    return true;
  }

  /** Nobody had the lock for a moment in which the index still stood there. Looks without a pause. */
  #hasGap(database: TrackedDatabase, { salt1, salt2, mxFrame }: WalIndex): boolean {
    const giveUpMs = performance.now() + attachedSpinMs;
    do {
      // In this order: the index must stand there when the lock is free.
      if (this.#writerOf(database) === undefined) return database.index.isAt(salt1, salt2, mxFrame);
    } while (performance.now() < giveUpMs && database.index.isAt(salt1, salt2, mxFrame));
    return false;
  }

  /** Who holds its write lock holds that of another database as well. */
  #isMidTransaction(database: TrackedDatabase): boolean {
    const holder = this.#writerOf(database);
    if (holder === undefined) return false;
    for (const other of this.#all) if (other !== database && this.#writerOf(other) === holder) return true;
    return false;
  }

  #writerOf({ files, watch }: TrackedDatabase): number | undefined {
    if (files.writersLocked) return undefined;
    if (this.#locks !== undefined) return this.#locks.writerOf(files.shmFd, writerLockByte);
    const [holder] = FileLocks.now()?.others(watch.indexInode, writerLockByte, writerLockByte, true) ?? [];
    return holder;
  }
}
