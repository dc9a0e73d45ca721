/**
 * Detects changes of the database file other than by checkpoints: a process writes to it without a log (`cp` over it, a
 * tool that rewrites it in place, an engine with its own log), or it got a second name, under which SQLite would keep
 * another log.
 *
 * In WAL mode only checkpoints write there, and before its first page each records in the index up to which frame it
 * will copy (nBackfillAttempted, wal.c since SQLite 3.16; at its end nBackfill has the same value). A change between
 * two looks is therefore explained if a checkpoint was in progress or had failed at the first one, or if these two
 * values or the generation have changed since. Each look reads the index before the stamp, and again if a change seems
 * unexplained: anything that a checkpoint could have copied since must show there. (A recovery and a complete
 * checkpoint between two looks do not show; comparing the pages then finds nothing.)
 *
 * A change of the ctime alone is a rename, a chmod, or a second name, which the link count shows. An unexplained change
 * may still be harmless (`touch`): the caller compares every page with the captured state.
 */
import { fstatSync } from "node:fs";
import type { WalIndex, WalIndexReader } from "./wal-index.ts";

/** What an index says of checkpoints. */
type Backfilled = Pick<WalIndex, "salt1" | "salt2" | "nBackfill" | "nBackfillAttempted">;

export interface FileSeen {
  readonly changedMs: number;
  readonly writtenMs: number;
  readonly size: number;
  /** What checkpoints had done by the index, before the stamp was read; undefined while it was torn. */
  readonly done: Backfilled | undefined;
}

export class DatabaseFileLook {
  readonly #files: { readonly dbFd: number };
  readonly #index: WalIndexReader;
  #seen: FileSeen;
  #checkpointed: Backfilled | undefined;

  constructor(files: { readonly dbFd: number }, index: WalIndexReader) {
    this.#files = files;
    this.#index = index;
    this.#seen = this.see();
  }

  /** Sync; a quarter of a microsecond while the file does not change. */
  look(): "quiet" | "unexplained" | "linked" {
    const seen = this.#seen;
    const stats = fstatSync(this.#files.dbFd);
    if (seen.changedMs === stats.ctimeMs && seen.size === stats.size) return "quiet";
    if (stats.nlink > 1) return "linked";
    const now = this.see();
    if (this.#isUnexplained(seen, now)) return "unexplained";
    this.#seen = now;
    return "quiet";
  }

  /**
   * Refreshes the look after the index has moved: nothing was written until now, and the index as just read explains
   * less.
   */
  refresh(to: WalIndex): void {
    const { changedMs, size } = this.#seen;
    const stats = fstatSync(this.#files.dbFd);
    if (changedMs === stats.ctimeMs && size === stats.size) this.#seen = { ...this.#seen, done: to };
  }

  /** True if a checkpoint is in progress, or was since the last call: its end shows in the index alone. Sync. */
  isCheckpointed(): boolean {
    const done = this.#done();
    const isSame = isSameDone(done, this.#checkpointed);
    this.#checkpointed = done;
    return !isAtRest(done) || !isSame;
  }

  /** The content was compared, and is right: `before` was seen when the comparison began. */
  accept(before: FileSeen): void {
    this.#seen = before;
  }

  #isUnexplained(seen: FileSeen, now: FileSeen): boolean {
    if (now.writtenMs === seen.writtenMs && now.size === seen.size) return false;
    if (!isAtRest(seen.done) || !isSameDone(now.done, seen.done)) return false;
    return isSameDone(this.#done(), seen.done);
  }

  see(): FileSeen {
    const done = this.#done();
    const { ctimeMs, mtimeMs, size } = fstatSync(this.#files.dbFd);
    return { changedMs: ctimeMs, writtenMs: mtimeMs, size, done };
  }

  #done(): Backfilled | undefined {
    const look = this.#index.look();
    return look.kind === "index" ? look.index : undefined;
  }
}

/** No checkpoint was in progress. */
const isAtRest = (done: Backfilled | undefined): boolean =>
  done !== undefined && done.nBackfillAttempted === done.nBackfill;

const isSameDone = (a: Backfilled | undefined, b: Backfilled | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.salt1 === b.salt1 &&
    a.salt2 === b.salt2 &&
    a.nBackfill === b.nBackfill &&
    a.nBackfillAttempted === b.nBackfillAttempted);
