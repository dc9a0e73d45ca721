/**
 * A captured database whose file was deleted: earlier commits belong to nothing any more, later ones are a fault.
 *
 * A process that uses the index shows by its locks that it still has the file open, and by the index that it commits. A
 * process without SQLite's locks (`vfs=unix-none`, `unix-dotfile`, `nolock=1`, an engine of its own) shows neither: it
 * is found among the open files of all processes, and its commits in the log and in the file, as those into a database
 * that is not deleted (file-watch.ts).
 *
 * How one would lose a write: delete the file, commit through a connection without locks, and respond. The deletion
 * changes the folder, so nothing leaves before the search among the open files is over; from then on each look compares
 * the stamps of log and file with those before the deletion. A process that ended before the search is found by the
 * stamps alone: what was written later than the deletion is examined. In the log, the same timer tick counts as earlier
 * if no process is left, since applications write and delete in quick succession; in the file, whose deletion leaves no
 * stamp of its own after a later write, it counts as later.
 *
 * Attacked in test/capture/usage/names.test.ts: "commits into databases whose files the application deleted while it
 * had them open are refused".
 */
import { CaptureError } from "./capture-error.ts";
import { type FileIdentity, fileIdentityKey } from "./file-identity.ts";
import { auditMs, listMs } from "./limits.ts";
import { hasOpen } from "./open-files.ts";
import { writtenAfterDeletion } from "./refusals.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { WalPosition } from "./wal-reader.ts";

export class Deletion {
  readonly #database: TrackedDatabase;
  /** Position of the log when the file was found to have left its name. */
  readonly #at: WalPosition | "written" | undefined;
  /** The log or the file was written later than the deletion. */
  readonly #isWrittenLater: boolean;
  /** Other processes that have one of the files open; undefined: to be searched for. */
  #holders: readonly number[] | undefined;
  #isExamined = false;
  #useLookAtMs = 0;
  #holdersLookAtMs = 0;

  /**
   * Stamps within one timer tick do not show the order: uncaptured data then counts as committed after the deletion, if
   * a process is there to do so.
   */
  constructor(database: TrackedDatabase) {
    this.#database = database;
    const { left, logWritten, fileWritten } = database.files.leftAndWritten();
    const isUsed = (database.files.users()?.length ?? 0) > 0;
    const isAfter = logWritten > left || (isUsed && logWritten === left);
    this.#at = isAfter && database.isAhead() ? "written" : (database.look() ?? database.captured);
    // A write into the file is the last change of its inode, so the deletion's own stamp is gone.
    this.#isWrittenLater = logWritten > left || fileWritten >= left;
  }

  /** The files to be searched for among those that processes have open; none once that is done. */
  get unsearched(): readonly FileIdentity[] {
    return this.#holders === undefined ? this.#database.files.identities : [];
  }

  /** Takes the result of the search: processes by file. */
  noteHolders(holders: ReadonlyMap<string, ReadonlySet<number>>): void {
    const pids = this.#database.files.identities.flatMap((file) => [...(holders.get(fileIdentityKey(file)) ?? [])]);
    this.#holders ??= [...new Set(pids)];
  }

  /** True if something was committed after the file left its name. Sync, half a microsecond. */
  wasWrittenSince(): boolean {
    const at = this.#at;
    return at === "written" || (at !== undefined && !this.#database.index.isAt(at.salt1, at.salt2, at.mxFrame));
  }

  /** True if something moved that the index does not show: nothing may leave before it is examined. Sync. */
  isSuspicious(): boolean {
    const at = this.#at;
    const isWatched =
      this.#holders === undefined || this.#holders.length > 0 || (this.#isWrittenLater && !this.#isExamined);
    return isWatched && at !== "written" && at !== undefined && this.#database.watch.isSuspicious(at);
  }

  /** Throws `CaptureError` if something was committed after the file was deleted. */
  async examine(budget: EventLoopBudget): Promise<void> {
    const { name, pageSize, files, watch } = this.#database;
    const at = this.#at;
    if (at === "written" || this.wasWrittenSince()) throw writtenAfterDeletion(name, files.users());
    if (at === undefined || !this.isSuspicious()) return;
    const proveFile = (): Promise<boolean> => this.#database.proveFile(budget);
    try {
      await watch.examine({ name, pageSize, captured: at, proveFile }, budget);
      this.#isExamined = true;
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      throw writtenAfterDeletion(name, [...new Set([...(files.users() ?? []), ...(this.#holders ?? [])])], error);
    }
  }

  /** True if another process still has it open. Checked at intervals. */
  isInUse(nowMs: number): boolean {
    if (this.#holders === undefined) return true;
    if (nowMs < this.#useLookAtMs) return true;
    this.#useLookAtMs = nowMs + auditMs;
    return (this.#database.files.users()?.length ?? 0) > 0 || this.#isHeld(nowMs);
  }

  /** Of the processes that were found; no other can open a file without a name. Reading their open files takes long. */
  #isHeld(nowMs: number): boolean {
    if (nowMs < this.#holdersLookAtMs) return (this.#holders?.length ?? 0) > 0;
    this.#holdersLookAtMs = nowMs + listMs;
    const { identities } = this.#database.files;
    this.#holders = this.#holders?.filter((pid) => hasOpen(pid, identities));
    return (this.#holders?.length ?? 0) > 0;
  }
}
