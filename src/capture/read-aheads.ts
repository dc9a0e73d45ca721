/**
 * Reads ahead in every database in which a transaction of `readAheadBytesMin` or more is being written. One thread
 * reads for all databases.
 */
import type { Clock, Timer } from "../runtime/clock.ts";
import { FrameThread, isFrameThreadSupported } from "./frame-thread.ts";
import type { SourceLimits } from "./limits.ts";
import { type PartStage, ReadAhead } from "./read-ahead.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { WalPosition } from "./wal-reader.ts";
import { isWritten, writtenUpTo } from "./written-frames.ts";

/** The interval of its own looks, milliseconds, and the share of a large transaction from which on it makes them. */
const lookAgainMs = 5;
const mayBecomeLarge = 1 / 8;

export interface ReadAheadsOptions {
  readonly stage: PartStage;
  readonly clock: Clock;
  readonly limits: Pick<SourceLimits, "readAheadBytesMin" | "stagedPartBytes">;
}

export class ReadAheads {
  readonly #options: ReadAheadsOptions;
  readonly #thread = new FrameThread();
  readonly #databases = new Set<TrackedDatabase>();
  /** Read-aheads that have ended, until nothing of them is read or staged any more. */
  readonly #ending = new Set<Promise<void>>();

  #timer: Timer | undefined;
  #isClosed = false;

  private constructor(options: ReadAheadsOptions) {
    this.#options = options;
  }

  /** Undefined: this runtime cannot. */
  static over(options: ReadAheadsOptions): ReadAheads | undefined {
    return isFrameThreadSupported ? new ReadAheads(options) : undefined;
  }

  /**
   * Call it every few milliseconds. While a large transaction is written it looks by itself, also without a call: a
   * collection of another database may wait for as long as one process writes into both. Sync, a microsecond for each
   * database.
   */
  look(databases: Iterable<TrackedDatabase>): void {
    const active = this.#databases.size > 0 ? new Set(databases) : undefined;
    let isLarge = false;
    for (const database of databases) isLarge = this.#lookAt(database) || isLarge;
    if (isLarge && !this.#isClosed)
      this.#timer ??= this.#options.clock.setTimer(lookAgainMs, () => {
        this.#timer = undefined;
        this.look(databases);
      });
    if (active !== undefined) for (const database of this.#databases) if (!active.has(database)) this.#close(database);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    for (const database of this.#databases) this.#close(database);
    await Promise.all(this.#ending);
    await this.#thread.close();
  }

  /** True while a transaction is being written that is large, or may become so. */
  #lookAt(database: TrackedDatabase): boolean {
    const { ahead, captured, pageSize, files } = database;
    if (ahead !== undefined) {
      if (!ahead.isOf(captured) || ahead.isRolledBack() || isOver(database)) this.#close(database);
      else if (!database.isAhead()) ahead.look();
      return database.ahead !== undefined;
    }
    if (captured === undefined) return false;
    const { readAheadBytesMin } = this.#options.limits;
    const some = captured.mxFrame + Math.ceil((readAheadBytesMin * mayBecomeLarge) / pageSize);
    const wanted = captured.mxFrame + Math.ceil(readAheadBytesMin / pageSize);
    // The last of them first: in most looks it is not there.
    if (!isWritten(files.shmFd, some) || database.isAhead()) return false;
    if (isOver(database)) return false;
    if (!isWritten(files.shmFd, wanted)) return true;
    if (writtenUpTo(files.shmFd, captured.mxFrame, wanted - captured.mxFrame) < wanted) return false;
    this.#begin(database, captured);
    return true;
  }

  #begin(database: TrackedDatabase, base: WalPosition): void {
    const { name, files, pageSize } = database;
    const { stage, limits } = this.#options;
    const { stagedPartBytes: partBytes } = limits;
    const options = { thread: this.#thread, stage, partBytes, name, files, pageSize, base };
    const ahead = ReadAhead.begin(options);
    if (ahead === undefined) return;
    database.ahead = ahead;
    this.#databases.add(database);
    ahead.look();
  }

  #close(database: TrackedDatabase): void {
    const { ahead } = database;
    this.#databases.delete(database);
    database.ahead = undefined;
    if (ahead === undefined) return;
    ahead.close([]);
    const ending = ahead.closed();
    this.#ending.add(ending);
    const forget = (): void => void this.#ending.delete(ending);
    ending.then(forget, forget);
  }
}

/**
 * True if no transaction is being written, and none was committed. The entries in the index do not tell this when the
 * log was empty before: wal.c `walCleanupHash` leaves those of a transaction that is rolled back then. The lock is
 * asked first, since a commit is in the index before its writer releases the lock.
 */
const isOver = (database: TrackedDatabase): boolean => !database.watch.mayHaveWriter && !database.isAhead();
