/**
 * The look at what can move without the WAL index: commits of writers that do not use it, and changes of the database file that no
 * checkpoint explains. The index tells of every commit of a writer that keeps SQLite's rules; this is for the others, whose commits
 * would be acknowledged and lost. docs/CAPTURE.md has the argument: which of their commits are caught before an answer leaves,
 * which a moment later, and what cannot be seen.
 *
 * `isSuspicious` is asked at the gate, after the index was found where it was captured. It accuses nobody: it only keeps answers until
 * `examine`, which may wait and read, has found out, and either nothing is wrong or it throws what is.
 */
import type { Clock } from "../runtime/clock.ts";
import { CaptureError, lostContinuity } from "./capture-error.ts";
import { DatabaseFileLook } from "./database-file-look.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { identityOfFd } from "./file-identity.ts";
import { connectionLockByte, FileLocks, writerLockByte } from "./file-locks.ts";
import { processesWithOpen, processName } from "./open-files.ts";
import type { Slice } from "./slice.ts";
import { frameBytes } from "./wal-frames.ts";
import type { WalIndexReader } from "./wal-index.ts";
import type { WalPosition } from "./wal-reader.ts";
import { type TailEnd, WalTail } from "./wal-tail.ts";

/** Looks, a moment apart, before somebody is accused: the list of locks may miss one that moves. */
const looksBeforeAccusing = 3;
const lookAgainMs = 2;

/** What `examine` needs of the captured state. */
export interface CapturedState {
  readonly name: string;
  readonly pageSize: number;
  readonly captured: WalPosition | undefined;
  /** Throws `CaptureError` when a page of the database file is not what was captured; false when that cannot be said now. */
  proveFile(slice: Slice): Promise<boolean>;
}

export interface FileWatchOptions {
  readonly files: DatabaseFiles;
  readonly index: WalIndexReader;
  readonly clock: Clock;
  readonly onWarning: (text: string) => void;
}

export class FileWatch {
  readonly #options: FileWatchOptions;
  readonly #tail: WalTail;
  readonly #file: DatabaseFileLook;
  readonly #indexInode: bigint;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#tail = new WalTail(options.files.walFd, () => options.clock.wallTime());
    this.#file = new DatabaseFileLook(options.files.dbFd, options.index);
    this.#indexInode = identityOfFd(options.files.shmFd).inode;
  }

  /** Sync, half a microsecond while nothing changes. `at` is captured, and the index was just seen there. */
  isSuspicious(at: WalPosition): boolean {
    return this.#file.look() !== "quiet" || (!this.#tail.isQuiet(at) && !this.#isWriterAtWork());
  }

  /** Captured until now; the index has moved on. */
  leave(at: WalPosition): void {
    this.#tail.leave(at);
  }

  /** Finds out. Throws `CaptureError` (uncoordinated, linked, continuity). */
  async examine(database: CapturedState, slice: Slice): Promise<void> {
    await this.#examineLog(database, slice);
    const look = this.#file.look();
    if (look === "quiet") return;
    if (look === "linked") throw linked(database.name);
    const before = this.#file.see();
    if (await database.proveFile(slice)) this.#file.accept(before);
  }

  async #examineLog(database: CapturedState, slice: Slice): Promise<void> {
    const { clock, index } = this.#options;
    for (let look = 1; ; look++) {
      const at = database.captured;
      if (at === undefined || this.#tail.isQuiet(at)) return;
      const end = await this.#tail.walk(at, slice);
      // In this order: a commit that was being made is in the index before its writer lets the lock go.
      if (end.kind === "uncommitted" || this.#isWriterAtWork() || this.#isLockedUnseen() || !index.isAt(at.salt1, at.salt2, at.mxFrame)) return;
      if (look === looksBeforeAccusing) return this.#judge(database, at, end);
      await clock.sleep(lookAgainMs);
    }
  }

  #judge(database: CapturedState, at: WalPosition, end: TailEnd): void {
    const { name, pageSize } = database;
    const strangers = this.#strangers();
    const by = strangers.length === 0 ? "" : `, by ${strangers.map(processName).join(", ")}`;
    if (end.kind === "rewritten") throw uncoordinated(name, `a write-ahead log that was begun anew or cut off without its index (-shm)${by}`);
    if (end.kind !== "committed") return;
    const bytes = (end.end.mxFrame - at.mxFrame) * frameBytes(pageSize);
    if (strangers.length > 0 || end.goesOn) throw uncoordinated(name, `commits in its write-ahead log (${bytes} bytes) that its index (-shm) does not have${by}`);
    // Who has it open also uses the index: the commit's writer ended in the middle of it, and SQLite will overwrite it.
    this.#tail.abandon(end.end);
    this.#options.onWarning(`${name}: a process ended in the middle of a commit, which nobody saw; it is not part of the database`);
  }

  /** Other processes that have the log open, and do not use the index. */
  #strangers(): number[] {
    const users = FileLocks.now()?.others(this.#indexInode, connectionLockByte, connectionLockByte) ?? new Set<number>();
    return processesWithOpen(identityOfFd(this.#options.files.walFd)).filter((pid) => !users.has(pid));
  }

  /** Another process holds the lock of the writer: what follows in the log is its transaction. */
  #isWriterAtWork(): boolean {
    return (FileLocks.now()?.others(this.#indexInode, writerLockByte, writerLockByte, true)?.size ?? 0) > 0;
  }

  /** The same where locks are not told, by trying: a writer without a busy timeout may meet it. */
  #isLockedUnseen(): boolean {
    const { files } = this.#options;
    if (FileLocks.now()?.others(this.#indexInode, writerLockByte, writerLockByte) !== undefined || files.writersLocked) return false;
    if (!files.tryLockWriters()) return true;
    files.unlockWriters();
    return false;
  }
}

function uncoordinated(database: string, found: string): CaptureError {
  return new CaptureError({
    kind: "uncoordinated",
    database,
    found,
    accepted: "writers that use SQLite's WAL index and its locks",
    advice: "Remove vfs=unix-none, vfs=unix-dotfile, nolock=1 and locking_mode=EXCLUSIVE from the application, and do not use engines that coordinate by other files (Turso's multiprocess_wal).",
  });
}

export function linked(database: string, other?: string): CaptureError {
  return new CaptureError({
    kind: "linked",
    database,
    found: other === undefined ? "a hard link to it under another name" : `a hard link to it: ${other}`,
    accepted: "one name for each database file: SQLite keeps the write-ahead log beside the name by which it is opened",
    advice: "Remove one of the names; for a copy use VACUUM INTO or sqlite3's .backup, for another name a symbolic link.",
  });
}

/** The database file was written without a commit. */
export function overwritten(database: string, page: number): CaptureError {
  return lostContinuity(database, `page ${page} of the database file with other content than was committed: somebody wrote into the file without a log`, "writes through SQLite only (restore a backup with sqlite3's .restore, not with cp)");
}
