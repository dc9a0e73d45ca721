/**
 * Detects what can move without the WAL index: commits of writers that do not use it, and changes of the database file
 * that no checkpoint explains. The index shows every commit of a writer that follows SQLite's rules; this is for the
 * others, whose commits would be acknowledged and lost. docs/CAPTURE.md has the argument: which of their commits are
 * caught before a response leaves, which a moment later, and what cannot be seen.
 *
 * The gate calls `isSuspicious` after the index was found where it was captured. A suspicion only holds responses until
 * `examine`, which may wait and read, has either found nothing wrong or thrown the error.
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
import { IndexStrangers } from "./index-strangers.ts";
import { elsewhereMsMax, writerTrustMs } from "./limits.ts";
import { linked, openedByOtherName, uncoordinatedBy, usedElsewhere } from "./refusals.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import { frameBytes } from "./wal-frames.ts";
import type { FoundCommit, UnfinishedCommits } from "./unfinished-commits.ts";
import type { WalIndex, WalIndexReader } from "./wal-index.ts";
import type { WalPosition } from "./wal-reader.ts";
import { type TailCommit, type TailEnd, WalTail } from "./wal-tail.ts";

/** Looks, a moment apart, before a process is accused: the list of locks may miss a moving lock. */
const looksBeforeAccusing = 3;
const lookAgainMs = 2;
/** How long a process that used the index may have ended before an unfinished commit is found, milliseconds. */
const lostUserMs = 5_000;

/** What `examine` needs of the captured state. */
export interface CapturedState {
  readonly name: string;
  readonly pageSize: number;
  readonly captured: WalPosition | undefined;
  /**
   * Throws `CaptureError` if a page of the database file differs from the captured state; returns false if that cannot
   * be determined now.
   */
  proveFile(budget: EventLoopBudget): Promise<boolean>;
}

export interface FileWatchOptions {
  readonly files: DatabaseFiles;
  readonly index: WalIndexReader;
  readonly clock: Clock;
  readonly onWarning: (text: string) => void;
  readonly unfinished: UnfinishedCommits;
}

/** The process that the kernel names among all others that have the database, or its WAL index. */
interface FirstUsers {
  readonly database: number | undefined;
  readonly index: number | undefined;
}

export class FileWatch {
  readonly #options: FileWatchOptions;
  readonly #tail: WalTail;
  readonly #file: DatabaseFileLook;
  readonly #walIndex: FileIdentity;
  readonly #strangers: IndexStrangers;
  /** When another process was last seen with the writer's lock, and the captured position at that time. */
  #writerSeen: { readonly at: WalPosition; readonly nowMs: number } | undefined;
  /** A commit that the index does not have, while a process holds the writer's lock. */
  #unfinished: FoundCommit | undefined;
  /** The index has moved, and has other frames in its place. */
  #isOverwritten = false;
  /** The second name that was found; its effects are examined once it is gone. */
  #second: { readonly path: string | undefined } | undefined;
  /** Since when processes have had the database open with another log, monotonic milliseconds. */
  #elsewhereSinceMs: number | undefined;
  #isUnused = false;
  /** The kernel's answer when the list of locks last had no process with another log. */
  #cleared: FirstUsers | undefined;
  /** Processes that used the index at an audit, with the time; undefined before the first list of locks. */
  #indexUsers: Map<number, number> | undefined;

  constructor(options: FileWatchOptions) {
    this.#options = options;
    this.#tail = new WalTail(options.files, () => options.clock.wallTime());
    this.#file = new DatabaseFileLook(options.files, options.index);
    this.#walIndex = identityOfFd(options.files.shmFd);
    this.#strangers = new IndexStrangers(options.files, this.#walIndex);
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

  /** True if it has a second name, or had one that was not examined since, or a commit in its log was overwritten. */
  get mustExamine(): boolean {
    return this.#second !== undefined || this.#isOverwritten;
  }

  /**
   * True if nothing moves any more, and a commit cannot come without a write. The index was just seen at `at`. Sync.
   */
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

  /** True if a checkpoint is in progress, or was since the last call. Sync. */
  isCheckpointed(): boolean {
    return this.#file.isCheckpointed();
  }

  /**
   * True if another process has the locks of the checkpointer and of the writer: FULL, RESTART or TRUNCATE, which
   * copies or waits for readers while no writer makes progress. Undefined if locks are not reported without a list.
   * Sync, a microsecond.
   */
  get isWriterKeptOut(): boolean | undefined {
    const locks = loadedLockHolder();
    if (locks === undefined) return undefined;
    const { shmFd } = this.#options.files;
    const checkpointer = locks.writerOf(shmFd, checkpointLockByte);
    return checkpointer !== undefined && locks.writerOf(shmFd, writerLockByte) === checkpointer;
  }

  /** Another process holds the lock of the writer; true where locks are not told without a list. A microsecond. */
  get mayHaveWriter(): boolean {
    const locks = loadedLockHolder();
    return locks === undefined || locks.writerOf(this.#options.files.shmFd, writerLockByte) !== undefined;
  }

  /** The inode of the WAL index. */
  get indexInode(): bigint {
    return this.#walIndex.inode;
  }

  /** A commit while a process has the writer's lock is noted, not suspicious (unfinished-commits.ts). */
  #isLogSuspicious(at: WalPosition): boolean {
    const isKnown = this.#unfinished?.at === at;
    if (!isKnown && this.#tail.isQuiet(at)) return false;
    const commit = isKnown ? this.#unfinished?.commit : this.#tail.commitBehind(at);
    if (commit === "unread") return true;
    if (!this.#isWriterSeen(at)) {
      // In this order: a commit in progress is in the index before its writer releases the lock.
      const { index } = this.#options;
      if (commit !== undefined && index.isAt(at.salt1, at.salt2, at.mxFrame)) this.#strangers.note(at);
      return true;
    }
    if (!isKnown && commit !== undefined) this.#note(at, commit);
    return false;
  }

  /** True if another process has the writer's lock, or had it a moment ago: asking takes a microsecond at best. */
  #isWriterSeen(at: WalPosition): boolean {
    const nowMs = this.#options.clock.now();
    if (this.#writerSeen?.at === at && nowMs - this.#writerSeen.nowMs < writerTrustMs) return true;
    if (!this.#isWriterAtWork()) return false;
    this.#writerSeen = { at, nowMs };
    return true;
  }

  #note(at: WalPosition, commit: TailCommit): void {
    const isIndexed = (): boolean => {
      const look = this.#options.index.look();
      return look.kind === "index" && this.#tail.isPartOf(commit, look.index);
    };
    this.#unfinished ??= this.#options.unfinished.begin(at, commit, isIndexed);
  }

  /** Not watched any more: what waits for a commit in its log need not wait. */
  close(): void {
    this.#settle();
  }

  #settle(): void {
    if (this.#unfinished !== undefined) this.#options.unfinished.settle(this.#unfinished);
    this.#unfinished = undefined;
    this.#isOverwritten = false;
  }

  /**
   * True if a process keeps another log of this database: it opened it under a former name. A list that no longer shows
   * it may have missed it: responses are held until `examine` has found out. Takes microseconds.
   */
  audit(locks: FileLocks): boolean {
    const { files, clock } = this.#options;
    const kernel = loadedLockHolder();
    const first = kernel === undefined ? undefined : this.#firstUsers(kernel);
    const users = locks.databaseUsers(files.identity);
    this.#isUnused = first === undefined ? users?.size === 0 : first.database === undefined;
    const isUsedElsewhere = locks.usersElsewhere(files.identity, this.#walIndex).length > 0;
    if (isUsedElsewhere) this.#elsewhereSinceMs ??= clock.now();
    // A list without the process that the kernel names has missed it.
    const isCleared = !isUsedElsewhere && first?.database !== undefined && users?.has(first.database) !== false;
    this.#cleared = isCleared ? first : undefined;
    this.#indexUsers ??= new Map();
    for (const [pid, seenMs] of this.#indexUsers) if (seenMs < clock.now() - lostUserMs) this.#indexUsers.delete(pid);
    for (const pid of this.#strangers.users(locks) ?? []) this.#indexUsers.set(pid, clock.now());
    return isUsedElsewhere;
  }

  /** True if the list of locks must show whether a process keeps another log. Sync, two microseconds. */
  askForUsers(kernel: LockHolder): boolean {
    const { database, index } = this.#firstUsers(kernel);
    this.#isUnused = database === undefined;
    if (index !== undefined) this.#indexUsers?.set(index, this.#options.clock.now());
    // For another namespace (0 or less) the list does not help either.
    if (database === undefined || database <= 0 || database === index) return false;
    return this.#cleared?.database !== database || this.#cleared.index !== index;
  }

  /**
   * The kernel names one process for each, the one with the first lock: for an application with several they may
   * differ.
   */
  #firstUsers(kernel: LockHolder): FirstUsers {
    const { dbFd, shmFd } = this.#options.files;
    return {
      database: kernel.userOf(dbFd, databaseLockByte, databaseLockBytesEnd - databaseLockByte + 1),
      index: kernel.userOf(shmFd, connectionLockByte, 1),
    };
  }

  /** The files were reopened, and nothing was written meanwhile. */
  reopened(at: WalPosition): void {
    this.#tail.reopened(at);
  }

  /** The captured position leaves `at`; the index has moved on to `to`. */
  advance(at: WalPosition, to: WalIndex): void {
    this.#tail.advance(at);
    this.#file.refresh(to);
    if (this.#unfinished === undefined) return;
    // What was not proved to be a commit may have been a write that failed in the middle.
    const { commit } = this.#unfinished;
    if (this.#tail.isPartOf(commit, to) || !commit.isProved) this.#settle();
    else this.#isOverwritten = true;
  }

  /** Examines a suspicion. Throws `CaptureError` (uncoordinated, linked, continuity). */
  async examine(database: CapturedState, budget: EventLoopBudget): Promise<void> {
    if (this.#file.look() === "linked") throw this.#linkedError(database.name);
    if (this.mustExamine) await this.#auditNow();
    if (this.#isOverwritten) this.#judgeOverwritten(database.name);
    await this.#examineUsers(database.name);
    await this.#examineLog(database, budget);
    if (this.#file.look() === "quiet" && !this.mustExamine) return;
    const before = this.#file.see();
    if (!(await database.proveFile(budget))) return;
    this.#file.accept(before);
    this.#second = undefined;
  }

  /**
   * While there is a second name, responses are held; a log beside it means that a process has opened the database
   * under that name.
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

  /** A connection that is being opened locks the database a moment before its index. */
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

  async #examineLog(database: CapturedState, budget: EventLoopBudget): Promise<void> {
    const { clock, index } = this.#options;
    const strangers = new Set<number>();
    for (let look = 1; ; look++) {
      const at = database.captured;
      if (at === undefined || (this.#unfinished === undefined && this.#tail.isQuiet(at))) return;
      const first = await this.#tail.firstCommitBehind(at, budget);
      const end = await this.#tail.walk(at, budget);
      // In this order: a commit in progress is in the index before its writer releases the lock.
      const isInProgress =
        this.#isWriterAtWork() || this.#isLockedUnseen() || !index.isAt(at.salt1, at.salt2, at.mxFrame);
      if (end.kind === "uncommitted" && !isInProgress) return this.#forget(database.name, at);
      // The first one: of those behind it the next collection may not have all, though nothing is wrong.
      if (first !== undefined && isInProgress) this.#note(at, first);
      if (end.kind === "uncommitted" || isInProgress) return;
      for (const pid of this.#strangers.notedAt(at)) strangers.add(pid);
      // At each look: a writer may end between its response and the last one.
      const users = this.#strangers.users(FileLocks.now());
      for (const pid of this.#strangers.beside(users ?? new Set())) strangers.add(pid);
      if (look === looksBeforeAccusing) return this.#judge(database, at, end, [...strangers], users);
      await clock.sleep(lookAgainMs);
    }
  }

  #judge(
    database: CapturedState,
    at: WalPosition,
    end: TailEnd,
    strangers: readonly number[],
    users: ReadonlySet<number> | undefined,
  ): void {
    const { name, pageSize } = database;
    if (end.kind === "rewritten")
      throw uncoordinatedBy(
        strangers,
        name,
        "a write-ahead log that was restarted, truncated or overwritten without its index (-shm)",
      );
    if (end.kind !== "committed") return;
    const bytes = (end.end.mxFrame - at.mxFrame) * frameBytes(pageSize);
    if (strangers.length > 0 || end.goesOn || !this.#mayHaveLostUser(users))
      throw uncoordinatedBy(
        strangers,
        name,
        `commits in its write-ahead log (${bytes} bytes) that its index (-shm) does not have`,
      );
    // All processes that have it open also use the index, and one that used it does not any more: the commit's writer
    // ended in the middle of it, and SQLite will overwrite it.
    this.#tail.ignoreCommit(end.end);
    this.#takeForAbandoned(name);
  }

  #takeForAbandoned(name: string): void {
    this.#settle();
    this.#options.onWarning(
      `${name}: a process ended in the middle of a commit; the commit was never visible and is not part of the database`,
    );
  }

  /** The log has no commit behind the captured end, and no writer is at work. */
  #forget(name: string, at: WalPosition): void {
    if (this.#unfinished?.at === at && this.#unfinished.commit.isProved) this.#judgeOverwritten(name);
    else this.#settle();
  }

  /** A commit that lay in the log was overwritten, and no index had it. */
  #judgeOverwritten(name: string): void {
    const users = this.#strangers.users(FileLocks.now());
    const noted = this.#strangers.notedAt(this.#unfinished?.at);
    const strangers = [...new Set([...noted, ...this.#strangers.beside(users ?? new Set())])];
    if (strangers.length === 0 && this.#mayHaveLostUser(users)) return this.#takeForAbandoned(name);
    throw uncoordinatedBy(
      strangers,
      name,
      "a commit in its write-ahead log that its index (-shm) never had, overwritten since",
    );
  }

  /**
   * False if no process that used the index lately has stopped using it. A commit that is in the log alone is then not
   * one that its writer did not finish: it is that of a process without the index, which has ended and may have
   * responded. A process that began and ended between two audits is taken for one, too: that ends a term, and loses
   * nothing.
   */
  #mayHaveLostUser(users: ReadonlySet<number> | undefined): boolean {
    if (users === undefined || this.#indexUsers === undefined) return true;
    const sinceMs = this.#options.clock.now() - lostUserMs;
    return [...this.#indexUsers].some(([pid, seenMs]) => seenMs >= sinceMs && !users.has(pid));
  }

  /**
   * True if another process holds the writer's lock: what follows in the log is its transaction. The list of locks
   * would stop the event loop for milliseconds.
   */
  #isWriterAtWork(): boolean {
    const locks = loadedLockHolder();
    if (locks !== undefined) return locks.writerOf(this.#options.files.shmFd, writerLockByte) !== undefined;
    return (FileLocks.now()?.others(this.#walIndex.inode, writerLockByte, writerLockByte, true)?.size ?? 0) > 0;
  }

  /** Same where locks are not reported, by trying: a writer without a busy timeout may meet it. */
  #isLockedUnseen(): boolean {
    const { files } = this.#options;
    if (loadedLockHolder() !== undefined) return false;
    if (
      FileLocks.now()?.others(this.#walIndex.inode, writerLockByte, writerLockByte) !== undefined ||
      files.areWritersLocked
    )
      return false;
    if (!files.tryLockWriters()) return true;
    files.unlockWriters();
    return false;
  }
}
