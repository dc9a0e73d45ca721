/**
 * A captured database that no process has open, not even this host: all of it is in its file, there is no log, and it
 * costs no descriptor and no connection.
 *
 * A process that uses it in WAL mode first creates its `-wal` and `-shm`, which exist until the last connection is
 * closed. A process that changes it changes the file's ctime, which no program can set back, before the last connection
 * is closed. It therefore counts as touched while one of these files exists, and for good once the stamp has changed.
 * The kernel reports when to look (folder-events.ts): the files are created, written and removed before a response that
 * depends on them leaves. The stamp has settled when a database is closed for this, so that no later change can hide
 * behind it.
 */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { type Resumed, stampOf } from "./base-reader.ts";
import { type FilePath, withSuffix } from "./data-path.ts";
import { type FileIdentity, identityAt, sameFile } from "./file-identity.ts";
import { hashPage, type PageHashes } from "./page-hashes.ts";
import type { SnapshotDatabase } from "./snapshot.ts";
import { stampSettlesMs } from "./wal-tail.ts";
import { WrittenMeanwhileError } from "./written-meanwhile.ts";

const walVersion = 2;

export class DormantDatabase {
  readonly name: string;
  readonly path: FilePath;
  readonly identity: FileIdentity;
  readonly hashes: PageHashes;
  readonly #stamp: string;
  readonly #isSettled: boolean;
  /** To be attached again. */
  isWoken = false;
  /** SQLite used it: not only the file itself was touched. */
  hasHadLog = false;
  /**
   * It is in rollback mode, also in the journal: SQLite takes a file beside a log for one in WAL mode whatever its
   * header says (a backup was copied over a database whose process had been killed), and it is captured as SQLite reads
   * it. Attaching it changes that header, which must not happen before capture begins: what capture begins with is in
   * no batch, and must be what the journal has.
   */
  mustSwitch = false;

  private constructor(
    name: string,
    path: FilePath,
    identity: FileIdentity,
    hashes: PageHashes,
    stamp: string,
    isSettled: boolean,
  ) {
    this.name = name;
    this.path = path;
    this.identity = identity;
    this.hashes = hashes;
    this.#stamp = stamp;
    this.#isSettled = isSettled;
  }

  /**
   * Makes one of a file with this content, as far as its size tells. Undefined: it cannot be dormant, or not yet.
   * `wallMs`: since 1970; if left out, an unsettled stamp is accepted, since no writer is there.
   */
  static of(name: string, path: FilePath, hashes: PageHashes, wallMs?: number): DormantDatabase | undefined {
    const identity = identityAt(path);
    const stats = statSync(path, { throwIfNoEntry: false });
    if (identity === undefined || stats?.size !== hashes.pageSize * hashes.pageCount || stats.nlink !== 1)
      return undefined;
    const isSettled = wallMs !== undefined && Math.abs(wallMs - stats.ctimeMs) > stampSettlesMs;
    if (wallMs !== undefined && !isSettled) return undefined;
    return new DormantDatabase(name, path, identity, hashes, stampOf(stats), isSettled);
  }

  /**
   * Adopts a file that the replica wrote, before the application starts; undefined if it must be opened and examined.
   */
  static adopt(name: string, path: FilePath, known: PageHashes): DormantDatabase | undefined {
    const database = DormantDatabase.of(name, path, known);
    if (database?.hasCompanions() !== false) return undefined;
    const first = database.#read(0, known.pageSize);
    if (!known.isSame(1, hashPage(1, first))) return undefined;
    database.mustSwitch = first[18] !== walVersion || first[19] !== walVersion;
    return database;
  }

  get resumed(): Resumed {
    return { hashes: this.hashes, stamp: this.#stamp };
  }

  get pageSize(): number {
    return this.hashes.pageSize;
  }

  /**
   * True if a process uses it, changed it, or put another file in its place; or if that cannot be determined, and
   * attaching shows why. Sync; some microseconds.
   */
  isTouched(): boolean {
    try {
      // In this order: the content of a log is in the file, and so in its stamp, before the log is gone. The other way
      // round both looks could miss it.
      if (this.hasCompanions()) return true;
      const stats = statSync(this.path, { throwIfNoEntry: false });
      const identity = identityAt(this.path);
      if (stats === undefined || identity === undefined || !sameFile(identity, this.identity)) return true;
      return stats.nlink !== 1 || stampOf(stats) !== this.#stamp;
    } catch {
      return true;
    }
  }

  /** Same after an event. */
  isTouchedBy(hasLog: boolean): boolean {
    if (hasLog) this.hasHadLog = true;
    return !this.#isSettled || this.isTouched();
  }

  hasCompanions(): boolean {
    return ["-wal", "-shm", "-journal"].some((suffix) => identityAt(withSuffix(this.path, suffix)) !== undefined);
  }

  /**
   * Returns its content for a snapshot, read on demand and compared with the captured state. Rejects with
   * `WrittenMeanwhileError` if the file has other content by then: it was used since, `onWritten` wakes it, and the
   * next snapshot pins it. `openIn`: a descriptor of this process, whose locks another one would drop.
   */
  snapshot(openIn: () => number | undefined, onWritten: () => void): SnapshotDatabase {
    const { name, pageSize, hashes } = this;
    return {
      name,
      pageSize,
      pageCount: hashes.pageCount,
      checksum: hashes.checksum(),
      read: (offset, length) => {
        const bytes = this.#read(offset, length, openIn());
        for (let page = Math.ceil(offset / pageSize) + 1; page * pageSize <= offset + length; page++) {
          const start = (page - 1) * pageSize - offset;
          if (hashes.isSame(page, hashPage(page, bytes.subarray(start, start + pageSize)))) continue;
          onWritten();
          return Promise.reject(new WrittenMeanwhileError(name));
        }
        return Promise.resolve(bytes);
      },
    };
  }

  #read(offset: number, length: number, openFd?: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const fd = openFd ?? openSync(this.path, "r");
    try {
      readSync(fd, bytes, 0, length, offset);
      return bytes;
    } finally {
      if (openFd === undefined) closeSync(fd);
    }
  }
}
