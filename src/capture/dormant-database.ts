/**
 * A captured database that nobody has open, this host neither: all of it is in its file, there is no log, and it costs
 * no descriptor and no connection.
 *
 * Whoever uses it in WAL mode makes its `-wal` and `-shm` first, and those are there until the last connection is
 * closed; whoever changes it changes the file's ctime, which no program can set back, before the last connection is
 * closed. So it is touched as long as one of them is there, and for ever once the stamp is another one. The kernel
 * tells when to look (folder-events.ts): the files are made, written and removed before an answer that depends on it
 * leaves. The stamp has settled when a database is closed for this, so that no later change can hide behind it.
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
  /** SQLite was at it: not only the file itself was touched. */
  hadLog = false;

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
   * Of a file with this content, as far as its size tells. Undefined: it cannot be dormant, or not yet. `wallMs`: since
   * 1970; left out: a stamp that has not settled will do, since nobody who writes is there.
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
   * A file that the replica wrote, before the application starts; undefined when it is to be opened and looked through.
   */
  static adopt(name: string, path: FilePath, known: PageHashes): DormantDatabase | undefined {
    const database = DormantDatabase.of(name, path, known);
    if (database?.hasCompanions() !== false) return undefined;
    const first = database.#read(0, known.pageSize);
    const isWal = first[18] === walVersion && first[19] === walVersion;
    return isWal && known.isSame(1, hashPage(1, first)) ? database : undefined;
  }

  get resumed(): Resumed {
    return { hashes: this.hashes, stamp: this.#stamp };
  }

  get pageSize(): number {
    return this.hashes.pageSize;
  }

  /**
   * Somebody uses it, changed it, or put another file in its place; or that cannot be said, and attaching it tells why.
   * Sync; some microseconds.
   */
  isTouched(): boolean {
    try {
      // In this order: what a log held is in the file, and so in its stamp, before the log is gone. The other way round
      // both looks could miss it.
      if (this.hasCompanions()) return true;
      const stats = statSync(this.path, { throwIfNoEntry: false });
      const identity = identityAt(this.path);
      if (stats === undefined || identity === undefined || !sameFile(identity, this.identity)) return true;
      return stats.nlink !== 1 || stampOf(stats) !== this.#stamp;
    } catch {
      return true;
    }
  }

  /** The same after an event. */
  isTouchedBy(hasLog: boolean): boolean {
    if (hasLog) this.hadLog = true;
    return !this.#isSettled || this.isTouched();
  }

  hasCompanions(): boolean {
    return ["-wal", "-shm", "-journal"].some((suffix) => identityAt(withSuffix(this.path, suffix)) !== undefined);
  }

  /**
   * Its content for a snapshot, read when it is asked for and compared with what was captured. Rejects with
   * `WrittenMeanwhileError` when the file has another content by then: it was used since, `onWritten` wakes it, and the
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
