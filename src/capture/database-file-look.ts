/**
 * Whether the database file changed otherwise than by checkpoints: somebody writes into it without a log (`cp` over it,
 * a tool that rewrites it in place, an engine with its own log), or gave it a second name, under which SQLite would
 * keep another log.
 *
 * In WAL mode only checkpoints write there, and before the first page each says in the index up to which frame it is
 * going to copy (nBackfillAttempted, wal.c since SQLite 3.16; when it is done nBackfill says the same). So a change
 * between two looks is explained when at the first one a checkpoint was under way or had failed, or when these two or
 * the generation are others since. The index is read before the stamp at each look, and once more when a change seems
 * unexplained: what a checkpoint could have copied since must show there. (A recovery and a complete checkpoint between
 * two looks do not show; comparing the pages then finds nothing.)
 *
 * A change of the ctime alone is a rename, chmod, or one that gave the file a second name, which the link count tells.
 * What is unexplained need not be harm either (`touch`): the caller compares every page with what is captured.
 */
import { fstatSync } from "node:fs";
import type { WalIndexReader } from "./wal-index.ts";

export interface FileSeen {
  readonly changedMs: number;
  readonly writtenMs: number;
  readonly size: number;
  /** As it stood before the stamp was read; undefined while it was torn. */
  readonly index: string | undefined;
  /** No checkpoint was under way. */
  readonly isAtRest: boolean;
}

export class DatabaseFileLook {
  readonly #files: { readonly dbFd: number };
  readonly #index: WalIndexReader;
  #seen: FileSeen;
  #checkpointed: string | undefined;

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

  /** Nothing was written by now: what the index says by now explains less. Called when it has moved. */
  refresh(): void {
    const now = this.see();
    if (now.changedMs === this.#seen.changedMs && now.size === this.#seen.size) this.#seen = now;
  }

  /**
   * A checkpoint is under way, or was since the last time that this was asked: its end shows in the index alone. Sync.
   */
  isCheckpointed(): boolean {
    const { index, isAtRest } = this.#state();
    const isSame = index === this.#checkpointed;
    this.#checkpointed = index;
    return !isAtRest || !isSame;
  }

  /** The content was compared, and is what it should be: `before` was seen when the comparison began. */
  accept(before: FileSeen): void {
    this.#seen = before;
  }

  #isUnexplained(seen: FileSeen, now: FileSeen): boolean {
    if (now.writtenMs === seen.writtenMs && now.size === seen.size) return false;
    if (!seen.isAtRest || seen.index === undefined || now.index !== seen.index) return false;
    return this.#state().index === seen.index;
  }

  see(): FileSeen {
    const { index, isAtRest } = this.#state();
    const { ctimeMs, mtimeMs, size } = fstatSync(this.#files.dbFd);
    return { changedMs: ctimeMs, writtenMs: mtimeMs, size, index, isAtRest };
  }

  #state(): { index: string | undefined; isAtRest: boolean } {
    const look = this.#index.look();
    if (look.kind !== "index") return { index: undefined, isAtRest: false };
    const { salt1, salt2, nBackfill, nBackfillAttempted } = look.index;
    return {
      index: `${salt1} ${salt2} ${nBackfill} ${nBackfillAttempted}`,
      isAtRest: nBackfillAttempted === nBackfill,
    };
  }
}
