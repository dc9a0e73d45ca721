/**
 * The look at what can move without the WAL index: commits of writers that do not use it, and changes of the database
 * file that no checkpoint explains. The index tells of every commit of a writer that keeps SQLite's rules; this is for
 * the others, whose commits would be acknowledged and lost. docs/CAPTURE.md has the argument: which of their commits
 * are caught before an answer leaves, which a moment later, and what cannot be seen.
 *
 * `isSuspicious` is asked at the gate, after the index was found where it was captured. It accuses nobody: it only
 * keeps answers until `examine`, which may wait and read, has found out, and either nothing is wrong or it throws what
 * is.
 */
import { existsSync } from "node:fs";
import { type LockHolder, loadedLockHolder } from "../runtime/posix-locks.ts";
import type { Clock } from "../runtime/clock.ts";
import type { CaptureError } from "./capture-error.ts";
import { DatabaseFileLook } from "./database-file-look.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { type FileIdentity, identityOfFd } from "./file-identity.ts";
import {
  checkpointLockByte,
  connectionLockByte,
  databaseLockByte,
  databaseLockBytesEnd,
  FileLocks,
  looksForAbsence,
  writerLockByte,
} from "./file-locks.ts";
import { usersElsewhere } from "./file-users.ts";
import { otherNameOf } from "./hard-links.ts";
import { elsewhereMsMax, writerTrustMs } from "./limits.ts";
import { processesWithOpen, processName } from "./open-files.ts";
import { linked, openedByOtherName, uncoordinated, usedElsewhere } from "./refusals.ts";
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
  /**
   * Throws `CaptureError` when a page of the database file is not what was captured; false when that cannot be said
   * now.
   */
  proveFile(slice: Slice): Promise<boolean>;
}

export interface FileWatchOptions {
  readonly files: DatabaseFiles;
  readonly index: WalIndexReader;
  readonly clock: Clock;
  readonly onWarning: (text: string) => void;
}

/** Of all other processes that have the database, or its WAL index, the one that the kernel names. */
interface FirstUsers {
  readonly database: number | undefined;
  readonly index: number | undefined;
}

export class FileWatch {
  readonly #options: FileWatchOptions;
  readonly #tail: WalTail;
  readonly #file: DatabaseFileLook;
  readonly #walIndex: FileIdentity;
  /** When another process was last seen to hold the lock of the writer, with the captured position at that time. */
  #writerSeen: { readonly at: WalPosition; readonly nowMs: number } | undefined;
  /** Found with a second name, and the name; what was done by it is examined when it is gone. */
  #second: { readonly path: string | undefined } | undefined;
  /** Since when processes have the database open with another log than this one, monotonic milliseconds. */
  #elsewhereSinceMs: number | undefined;

  #isUnused = false;
  /** What the kernel said when the list of locks last had no process with another log. */
  #cleared: FirstUsers | undefined;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#tail = new WalTail(options.files, () => options.clock.wallTime());
    this.#file = new DatabaseFileLook(options.files, options.index);
    this.#walIndex = identityOfFd(options.files.shmFd);
  }

  /** Sync, half a microsecond while nothing changes. `at` is captured, and the index was just seen there. */
  isSuspicious(at: WalPosition): boolean {
    return (
      this.mustExamine ||
      this.#elsewhereSinceMs !== undefined ||
      this.#file.look() !== "quiet" ||
      this.#isLogSuspicious(at)
    );
  }

  /** It has a second name, or had one that nobody has examined since. */
  get mustExamine(): boolean {
    return this.#second !== undefined;
  }

  /** Nothing moves any more, and a commit cannot come without a write. The index was just seen at `at`. Sync. */
  isAtRest(at: WalPosition): boolean {
    return (
      !this.mustExamine &&
      this.#elsewhereSinceMs === undefined &&
      this.#tail.isAtRest(at) &&
      this.#file.look() === "quiet"
    );
  }

  /** No other process had it open at the last audit. */
  get isUnused(): boolean {
    return this.#isUnused;
  }

  /** A checkpoint is under way, or was since the last time that this was asked. Sync. */
  isCheckpointed(): boolean {
    return this.#file.isCheckpointed();
  }

  /**
   * Another process has the locks of the checkpointer and of the writer: FULL, RESTART or TRUNCATE, which copies or
   * waits for readers, and no writer gets on meanwhile. Undefined where locks are not told without a list. Sync, a
   * microsecond.
   */
  get isWriterKeptOut(): boolean | undefined {
    const locks = loadedLockHolder();
    if (locks === undefined) return undefined;
    const { shmFd } = this.#options.files;
    const checkpointer = locks.writerOf(shmFd, checkpointLockByte);
    return checkpointer !== undefined && locks.writerOf(shmFd, writerLockByte) === checkpointer;
  }

  /** The inode of the WAL index. */
  get indexInode(): bigint {
    return this.#walIndex.inode;
  }

  /**
   * While a transaction is under way the list of locks is not read for each chunk: a writer that was there is believed
   * to be for a moment.
   */
  #isLogSuspicious(at: WalPosition): boolean {
    const nowMs = this.#options.clock.now();
    if (this.#writerSeen?.at === at && nowMs - this.#writerSeen.nowMs < writerTrustMs) return false;
    if (this.#tail.isQuiet(at)) return false;
    if (!this.#isWriterAtWork()) return true;
    this.#writerSeen = { at, nowMs };
    return false;
  }

  /**
   * True when a process keeps another log of this database: it opened it under a name that it had before. A list that
   * does not show it any more may have missed it: answers wait until `examine` has found out. Takes microseconds.
   */
  audit(locks: FileLocks): boolean {
    const { files, clock } = this.#options;
    const kernel = loadedLockHolder();
    const first = kernel === undefined ? undefined : this.#firstUsers(kernel);
    const users = locks.databaseUsers(files.identity);
    this.#isUnused = first === undefined ? users?.size === 0 : first.database === undefined;
    const isUsedElsewhere = locks.usersElsewhere(files.identity, this.#walIndex).length > 0;
    if (isUsedElsewhere) this.#elsewhereSinceMs ??= clock.now();
    // A list that lacks the process that the kernel names has missed it.
    const isCleared = !isUsedElsewhere && first?.database !== undefined && users?.has(first.database) !== false;
    this.#cleared = isCleared ? first : undefined;
    return isUsedElsewhere;
  }

  /** True when the list of locks has to say whether a process keeps another log. Sync, two microseconds. */
  askForUsers(kernel: LockHolder): boolean {
    const { database, index } = this.#firstUsers(kernel);
    this.#isUnused = database === undefined;
    // Of another namespace (0 or less) the list does not tell either.
    if (database === undefined || database <= 0 || database === index) return false;
    return this.#cleared?.database !== database || this.#cleared.index !== index;
  }

  /**
   * The kernel names one process for each, that whose lock stands first: of an application with several it may be two
   * different ones.
   */
  #firstUsers(kernel: LockHolder): FirstUsers {
    const { dbFd, shmFd } = this.#options.files;
    return {
      database: kernel.userOf(dbFd, databaseLockByte, databaseLockBytesEnd - databaseLockByte + 1),
      index: kernel.userOf(shmFd, connectionLockByte, 1),
    };
  }

  /** The files were opened again, and nothing was written meanwhile. */
  reopened(at: WalPosition): void {
    this.#tail.reopened(at);
  }

  /** Captured until now; the index has moved on. */
  leave(at: WalPosition): void {
    this.#tail.leave(at);
    this.#file.refresh();
  }

  /** Finds out. Throws `CaptureError` (uncoordinated, linked, continuity). */
  async examine(database: CapturedState, slice: Slice): Promise<void> {
    if (this.#file.look() === "linked") throw this.#linkedError(database.name);
    if (this.mustExamine) await this.#auditNow();
    await this.#examineUsers(database.name);
    await this.#examineLog(database, slice);
    if (this.#file.look() === "quiet" && !this.mustExamine) return;
    const before = this.#file.see();
    if (!(await database.proveFile(slice))) return;
    this.#file.accept(before);
    this.#second = undefined;
  }

  /**
   * While there is a second name, answers wait; once there is a log beside it, somebody has opened the database by that
   * name.
   */
  #linkedError(name: string): CaptureError {
    this.#second ??= { path: otherNameOf(this.#options.files) };
    const { path } = this.#second;
    return path !== undefined && existsSync(`${path}-wal`) ? openedByOtherName(name, path) : linked(name, path);
  }

  async #auditNow(): Promise<void> {
    const locks = await FileLocks.read();
    if (locks !== undefined) this.audit(locks);
  }

  /** A connection that is being opened has the database locked a moment before its index. */
  async #examineUsers(name: string): Promise<void> {
    const { clock, files } = this.#options;
    while (this.#elsewhereSinceMs !== undefined) {
      const locks = await FileLocks.read(looksForAbsence);
      if (locks === undefined) return;
      const pids = usersElsewhere(files, () => locks);
      if (pids.length === 0) this.#elsewhereSinceMs = undefined;
      if (this.#elsewhereSinceMs === undefined) return;
      if (clock.now() - this.#elsewhereSinceMs > elsewhereMsMax) throw usedElsewhere(name, pids);
      await clock.sleep(lookAgainMs);
    }
  }

  async #examineLog(database: CapturedState, slice: Slice): Promise<void> {
    const { clock, index } = this.#options;
    for (let look = 1; ; look++) {
      const at = database.captured;
      if (at === undefined || this.#tail.isQuiet(at)) return;
      const end = await this.#tail.walk(at, slice);
      // In this order: a commit that was being made is in the index before its writer lets the lock go.
      if (
        end.kind === "uncommitted" ||
        this.#isWriterAtWork() ||
        this.#isLockedUnseen() ||
        !index.isAt(at.salt1, at.salt2, at.mxFrame)
      )
        return;
      if (look === looksBeforeAccusing) return this.#judge(database, at, end);
      await clock.sleep(lookAgainMs);
    }
  }

  #judge(database: CapturedState, at: WalPosition, end: TailEnd): void {
    const { name, pageSize } = database;
    const strangers = this.#strangers();
    const by = strangers.length === 0 ? "" : `, by ${strangers.map(processName).join(", ")}`;
    if (end.kind === "rewritten")
      throw uncoordinated(
        name,
        `a write-ahead log that was restarted, truncated or overwritten without its index (-shm)${by}`,
      );
    if (end.kind !== "committed") return;
    const bytes = (end.end.mxFrame - at.mxFrame) * frameBytes(pageSize);
    if (strangers.length > 0 || end.goesOn)
      throw uncoordinated(
        name,
        `commits in its write-ahead log (${bytes} bytes) that its index (-shm) does not have${by}`,
      );
    // Who has it open also uses the index: the commit's writer ended in the middle of it, and SQLite will overwrite it.
    this.#tail.abandon(end.end);
    this.#options.onWarning(
      `${name}: a process ended in the middle of a commit; the commit was never visible and is not part of the database`,
    );
  }

  /** Other processes that have the log open, and do not use the index. */
  #strangers(): number[] {
    const users =
      FileLocks.now()?.others(this.#walIndex.inode, connectionLockByte, connectionLockByte) ?? new Set<number>();
    return processesWithOpen(identityOfFd(this.#options.files.walFd)).filter((pid) => !users.has(pid));
  }

  /**
   * Another process holds the lock of the writer: what follows in the log is its transaction. The list of locks would
   * stop the event loop for milliseconds.
   */
  #isWriterAtWork(): boolean {
    const locks = loadedLockHolder();
    if (locks !== undefined) return locks.writerOf(this.#options.files.shmFd, writerLockByte) !== undefined;
    return (FileLocks.now()?.others(this.#walIndex.inode, writerLockByte, writerLockByte, true)?.size ?? 0) > 0;
  }

  /** The same where locks are not told, by trying: a writer without a busy timeout may meet it. */
  #isLockedUnseen(): boolean {
    const { files } = this.#options;
    if (loadedLockHolder() !== undefined) return false;
    if (
      FileLocks.now()?.others(this.#walIndex.inode, writerLockByte, writerLockByte) !== undefined ||
      files.writersLocked
    )
      return false;
    if (!files.tryLockWriters()) return true;
    files.unlockWriters();
    return false;
  }
}
