/**
 * Everything open for one captured database: SQLite connections and raw descriptors, in the only safe order.
 *
 * POSIX locks belong to the process: closing *any* descriptor of a file drops all locks that this process holds on it,
 * and a database whose locks vanish gets corrupted. Nothing else in this process may therefore open these files while
 * an instance exists, and raw reads use the descriptors that SQLite itself has open (sqlite-descriptors.ts): those of
 * the first connection, which is always open. That is three descriptors for an idle database; everything else is opened
 * on first use, and closed again (`rest`). SQLite keeps the database descriptor of each closed connection for the next
 * one, until this process has no lock on that file any more; the first connection is therefore replaced when that pays
 * off (`reopen`). Connections never write: no table of ours, no automatic checkpoint.
 *
 * Our connections hold a SHARED lock on the database file from their first read on. The application's last close
 * therefore cannot delete or checkpoint the WAL, and its `PRAGMA journal_mode=DELETE` fails.
 */
import { type BigIntStats, closeSync, existsSync, fstatSync, unlinkSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { connect } from "./connect.ts";
import { type FilePath, textOf, uriOf, withSuffix } from "./data-path.ts";
import { type FileIdentity, identityAt, identityOfFd, sameFile } from "./file-identity.ts";
import { FileLocks, looksForAbsence } from "./file-locks.ts";
import { usersOf } from "./file-users.ts";
import type { DatabasePlace } from "./backfiller.ts";
import { type Examined, FirstConnection } from "./first-connection.ts";
import { Reader } from "./reader.ts";
import { busy, isBusy, isOutdated, sqliteCode } from "./sqlite-error.ts";
import type { WriteLocks } from "./write-locks.ts";

/** The result of `PRAGMA wal_checkpoint(PASSIVE)`. */
export interface Backfilled {
  /** False if another checkpoint was running. */
  readonly ran: boolean;
  /** True if every committed frame is in the database file and no checkpoint is writing to it any more. */
  readonly complete: boolean;
}

export class DatabaseFiles {
  readonly path: FilePath;
  readonly identity: FileIdentity;
  /** If it was not in WAL mode, opening changed its header: the file right after that. */
  readonly switched: BigIntStats | undefined;
  /** The first is always open; the second while something happens. */
  readonly readers: readonly [Reader, Reader];
  readonly #writeLocks: WriteLocks;
  readonly #name: string;
  readonly #companions: readonly FileIdentity[];
  #first: FirstConnection;
  #sealer: DatabaseSync | undefined;
  #checkpointer: DatabaseSync | undefined;
  #snapshot: Reader | undefined;
  #hasHadOthers = false;
  /** Monotonic milliseconds; undefined: not locked. */
  #lockedAtMs: number | undefined;

  private constructor(name: string, path: FilePath, first: FirstConnection, writeLocks: WriteLocks) {
    this.#writeLocks = writeLocks;
    this.#name = name;
    this.path = path;
    this.#first = first;
    this.identity = first.identity;
    this.switched = first.switched;
    this.readers = [new Reader(() => this.#first.connection), new Reader(() => this.#another())];
    this.readers[0].open();
    this.#companions = [identityOfFd(this.walFd), identityOfFd(this.shmFd)];
  }

  /**
   * Opens an existing database in WAL mode, switching it if necessary. Returns undefined if it is busy: try again.
   * Throws `CaptureError` if it cannot be captured, and passes on the errors of `open(2)`.
   */
  static tryOpen(name: string, path: FilePath, examined: Examined, writeLocks: WriteLocks): DatabaseFiles | undefined {
    const first = FirstConnection.tryOpen(name, path, examined);
    return first === undefined ? undefined : new DatabaseFiles(name, path, first, writeLocks);
  }

  /** These three change with `reopen`: read them at each use. */
  get dbFd(): number {
    return this.#first.descriptors.dbFd;
  }

  get walFd(): number {
    return this.#first.descriptors.walFd;
  }

  get shmFd(): number {
    return this.#first.descriptors.shmFd;
  }

  /** True if there were connections beside the first, so that SQLite keeps their descriptors. */
  get hasSpareDescriptors(): boolean {
    return this.#hasHadOthers;
  }

  /** The thread that backfills had a connection. */
  noteOther(): void {
    this.#hasHadOthers = true;
  }

  /**
   * Closes every connection and opens the first again, for three descriptors. Nothing may be reading or locked. In
   * between this process has no lock on the files, so the application may do anything: the captured state must be
   * checked again. Returns false if everything is closed.
   */
  reopen(): boolean {
    this.close(false);
    try {
      const first = FirstConnection.tryOpen(this.#name, this.path, { identity: this.identity });
      if (first === undefined) return false;
      this.#first = first;
    } catch {
      // Attaching it again shows why.
      return false;
    }
    this.readers[0].open();
    this.#hasHadOthers = false;
    const [wal, shm] = this.#companions;
    const isSame =
      wal !== undefined &&
      shm !== undefined &&
      sameFile(this.#first.identity, this.identity) &&
      sameFile(identityOfFd(this.walFd), wal) &&
      sameFile(identityOfFd(this.shmFd), shm);
    if (!isSame) this.close(false);
    return isSame;
  }

  /** A third reader for snapshots, opened on first use. */
  snapshotReader(): Reader {
    return (this.#snapshot ??= new Reader(() => this.#another()));
  }

  /**
   * Compares `-wal` and `-shm` with the open files. They are not removed while these connections exist, except by a
   * script (`rm app.db-wal app.db-shm` before a backup is copied back); the application's next connection then creates
   * new ones and commits there, while everything here would see an idle database.
   */
  companions(): "same" | "missing" | "replaced" {
    let isMissing = false;
    for (const [at, suffix] of ["-wal", "-shm"].entries()) {
      const found = identityAt(withSuffix(this.path, suffix));
      const own = this.#companions[at];
      if (found === undefined) isMissing = true;
      else if (own === undefined || !sameFile(found, own)) return "replaced";
    }
    return isMissing ? "missing" : "same";
  }

  /** Identities of the three open files. */
  get identities(): readonly FileIdentity[] {
    return [this.identity, ...this.#companions];
  }

  /** Other processes that have the database open; undefined if locks are not reported. */
  users(): readonly number[] | undefined {
    return usersOf(this, () => FileLocks.now(looksForAbsence));
  }

  /**
   * Removes the log of a replaced or renamed database that no other process has open: SQLite would apply it to the next
   * database of that name, since the last close of a moved file leaves its log behind (pager.c, `databaseIsUnmoved`).
   */
  removeCompanions(): void {
    for (const [at, suffix] of ["-wal", "-shm"].entries()) {
      const path = withSuffix(this.path, suffix);
      const found = identityAt(path);
      const own = this.#companions[at];
      if (found !== undefined && own !== undefined && sameFile(found, own)) unlinkSync(path);
    }
  }

  /** Nanoseconds since 1970: when the file lost its name or was last written, and when log and file were written. */
  leftAndWritten(): { readonly left: bigint; readonly logWritten: bigint; readonly fileWritten: bigint } {
    const file = fstatSync(this.dbFd, { bigint: true });
    const log = fstatSync(this.walFd, { bigint: true });
    return { left: file.ctimeNs, logWritten: log.mtimeNs, fileWritten: file.mtimeNs };
  }

  /** True if the database file still has a name, any name: it was not deleted. */
  get hasName(): boolean {
    return fstatSync(this.dbFd).nlink > 0;
  }

  get isSnapshotReading(): boolean {
    return this.#snapshot?.isReading ?? false;
  }

  closeSnapshot(): void {
    this.#snapshot?.close();
    this.#snapshot = undefined;
  }

  /** `BEGIN IMMEDIATE`: blocks commits until `unlockWriters`. Returns false if a writer is active. */
  tryLockWriters(): boolean {
    if (this.#lockedAtMs !== undefined) throw new Error("writers are locked already");
    try {
      this.#sealer ??= this.#another();
      this.#sealer.exec("BEGIN IMMEDIATE");
      this.#lockedAtMs = performance.now();
      return true;
    } catch (error) {
      if (!isBusy(error)) throw error;
      // It held the lock for some microseconds, and found that a commit had come before.
      if (isOutdated(error)) this.#writeLocks.note(0);
      return false;
    }
  }

  unlockWriters(): void {
    if (this.#lockedAtMs === undefined) return;
    this.#sealer?.exec("ROLLBACK");
    this.#writeLocks.note(performance.now() - this.#lockedAtMs);
    this.#lockedAtMs = undefined;
  }

  get areWritersLocked(): boolean {
    return this.#lockedAtMs !== undefined;
  }

  /** How long writers have been locked, milliseconds; 0: they are not. */
  get lockedForMs(): number {
    return this.#lockedAtMs === undefined ? 0 : performance.now() - this.#lockedAtMs;
  }

  /** For a connection in another thread, which opens by name and compares the file. */
  get place(): DatabasePlace {
    return { path: this.path, uri: uriOf(this.path, "mode=rw"), ...this.identity };
  }

  /**
   * Copies frames into the database file as far as readers (our pins included) allow.
   *
   * Without fsync: syncing hundreds of megabytes would stop this process, its gate and its status stream for as long as
   * the disk takes. The cost: after a power failure the local file may be damaged. It is never trusted then; the vault
   * is, and has every acknowledged write (host/secondary/local-data.ts).
   */
  backfill(): Backfilled {
    const row = this.#checkpoint("PASSIVE", "OFF", () => (this.#checkpointer ??= this.#another()));
    return { ran: row.busy === 0, complete: row.busy === 0 && row.log >= 0 && row.log === row.checkpointed };
  }

  /**
   * After the application is gone: checkpoints everything into the database file, durably, and empties the WAL. Returns
   * false if another process prevents it. Uses the connection that is always open, which must not be reading: the file
   * may have another name by now.
   */
  fold(): boolean {
    return this.#checkpoint("TRUNCATE", "FULL", () => this.readers[0].connection).busy === 0;
  }

  /**
   * Opens one more connection to these same files. Throws SQLITE_BUSY if that is impossible now: SQLite opens by name,
   * and the name may lead to another file with another log.
   */
  #another(): DatabaseSync {
    let connection: DatabaseSync | undefined;
    this.#hasHadOthers = true;
    try {
      connection = connect(this.path, "rw", this.identity);
      if (connection === undefined) throw busy(`${textOf(this.path)} is another file now`);
      // The first read opens the log.
      connection.prepare("PRAGMA schema_version").get();
      const found = identityAt(this.path);
      if (found !== undefined && sameFile(found, this.identity) && this.companions() === "same") return connection;
      throw busy(`${textOf(this.path)} is another file now`);
    } catch (error) {
      connection?.close();
      // Nothing is there, or there are no descriptors: open connections continue.
      throw sqliteCode(error) === cannotOpen ? busy(`${textOf(this.path)} cannot be opened again`) : error;
    }
  }

  #checkpoint(
    mode: "PASSIVE" | "TRUNCATE",
    synchronous: "OFF" | "FULL",
    connectionOf: () => DatabaseSync,
  ): { busy: number; log: number; checkpointed: number } {
    try {
      const connection = connectionOf();
      connection.exec(`PRAGMA synchronous=${synchronous}`);
      const row = connection.prepare(`PRAGMA wal_checkpoint(${mode})`).get() as Record<string, number> | undefined;
      return { busy: row?.["busy"] ?? 1, log: row?.["log"] ?? -1, checkpointed: row?.["checkpointed"] ?? -2 };
    } catch (error) {
      if (isBusy(error)) return { busy: 1, log: -1, checkpointed: -2 };
      throw error;
    }
  }

  /** Closes what is not in use and not needed while idle. */
  rest(): void {
    if (!this.readers[1].isReading) this.readers[1].close();
    this.#checkpointer?.close();
    this.#checkpointer = undefined;
    if (this.#lockedAtMs !== undefined) return;
    this.#sealer?.close();
    this.#sealer = undefined;
  }

  /**
   * The last connection of all processes checkpoints and deletes the WAL as SQLite always does, unless `keepWal`: then
   * our last one is read-only, which cannot take the lock needed for that.
   */
  close(keepWal: boolean): void {
    const keeper = keepWal ? readOnlyKeeper(this.path, this.identity) : undefined;
    for (const reader of [...this.readers, this.#snapshot]) reader?.close();
    for (const connection of [this.#sealer, this.#checkpointer, keeper]) connection?.close();
    for (const fd of this.#first.own) closeSync(fd);
    this.#snapshot = undefined;
    this.#sealer = undefined;
    this.#checkpointer = undefined;
  }
}

const cannotOpen = 14;

/** Returns undefined if the file is gone, or is another one: SQLite sees that too, and checkpoints nothing. */
function readOnlyKeeper(path: FilePath, identity: FileIdentity): DatabaseSync | undefined {
  if (!existsSync(path)) return undefined;
  const keeper = connect(path, "ro", identity);
  keeper?.prepare("PRAGMA schema_version").get();
  return keeper;
}
