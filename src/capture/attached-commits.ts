/**
 * Detects cuts that would show half of a transaction over several ATTACHed databases.
 *
 * SQLite commits such a transaction database by database. In WAL mode there is no super-journal: `vdbeCommit`
 * (vdbeaux.c) calls sqlite3BtreeCommitPhaseOne for each, which writes the commit frame and moves the index, and only
 * when all have done so sqlite3BtreeCommitPhaseTwo, which releases the write locks. SQLite itself therefore promises no
 * atomicity across a power failure here (https://www.sqlite.org/lang_attach.html); but in normal operation the
 * application's readers see both parts, and so must those of the next primary.
 *
 * Claim: if the index of A stands at p and no process holds A's write lock (byte 120 of the index), every transaction
 * that brought A to p has moved the indexes of all its databases. The transaction held A's lock until all of them were
 * moved, and a later holder has committed nothing to A. The same follows if the process that holds it holds the write
 * lock of no other database: then it is a later transaction, or one over A alone. p is *settled* then, and stays so for
 * as long as A stands at p. A cut is whole if every database that moved since the last capture is settled where it
 * stands: all parts of a transaction visible in one database were in the others before the second read of the indexes,
 * which found them unchanged (consistent-cut.ts), so they are in the cut. The lock is queried *between* the two reads.
 * Before the first, a transaction could begin and move A after the question; after the second, one that was half
 * visible could have ended before it.
 *
 * A writer that never pauses releases the lock for microseconds only, so the search for the gap does not pause. Locks
 * distinguish processes, not threads: threads that write to several databases look like one transaction over them, and
 * may leave no such gap. The wait is therefore bounded by `attachedWaitMsMax`, and by less after unnecessary waits.
 * Then the cut is taken as it is: a transaction whose commit takes longer than that between two of its databases can
 * end up in two flushes. Such a transaction is unacknowledged: its client has had no answer, and the answer waits for
 * the second flush.
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

  /** `all`: every captured database, including idle ones. */
  constructor(all: Iterable<TrackedDatabase>) {
    this.#all = all;
  }

  async begin(): Promise<void> {
    this.#locks ??= await loadLockHolder();
  }

  /** Starts the search for a new cut. */
  forget(): void {
    this.#settled.clear();
    this.#sinceMs = undefined;
  }

  /**
   * True if every database of the cut that moved is settled where it stands. Call it between the two reads of the
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

  /** True once the wait was long enough. */
  isOverdue(nowMs: number): boolean {
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs <= this.#patienceMs) return false;
    this.#patienceMs = Math.max(attachedWaitMsMin, this.#patienceMs / 2);
    return true;
  }

  /** True if the lock was free at a moment at which the index still stood there. Looks without a pause. */
  #hasGap(database: TrackedDatabase, { salt1, salt2, mxFrame }: WalIndex): boolean {
    const giveUpMs = performance.now() + attachedSpinMs;
    do {
      // In this order: the index must stand there while the lock is free.
      if (this.#writerOf(database) === undefined) return database.index.isAt(salt1, salt2, mxFrame);
    } while (performance.now() < giveUpMs && database.index.isAt(salt1, salt2, mxFrame));
    return false;
  }

  /** True if the process with its write lock also holds that of another database. */
  #isMidTransaction(database: TrackedDatabase): boolean {
    const holder = this.#writerOf(database);
    if (holder === undefined) return false;
    for (const other of this.#all) if (other !== database && this.#writerOf(other) === holder) return true;
    return false;
  }

  #writerOf({ files, watch }: TrackedDatabase): number | undefined {
    if (files.areWritersLocked) return undefined;
    if (this.#locks !== undefined) return this.#locks.writerOf(files.shmFd, writerLockByte);
    const [holder] = FileLocks.now()?.others(watch.indexInode, writerLockByte, writerLockByte, true) ?? [];
    return holder;
  }
}
