/**
 * All databases at one instant, readable in the background while writers continue: the source of a checkpoint.
 *
 * Each database is pinned by a separate read transaction that began before the cut was taken. Until it is released, the
 * state at the cut is the frames of the layout, zeros, and the database file for every other page (`pin.ts`): a
 * checkpoint of the application copies only frames up to the pin into the file, and for those pages the layout reads
 * the frame. While it is held the WAL cannot start over, so it grows by what is written meanwhile.
 */
import { read } from "node:fs";
import { promisify } from "node:util";
import { lostContinuity } from "./capture-error.ts";
import type { Cut } from "./consistent-cut.ts";
import { hashPage, type PageHashes } from "./page-hashes.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import { frameHeaderBytes, frameOffset } from "./wal-frames.ts";

const readAsync = promisify(read);

export interface SnapshotDatabase {
  readonly name: string;
  /** Bytes. */
  readonly pageSize: number;
  readonly pageCount: number;
  readonly checksum: Uint8Array;
  /** Bytes of the database file at the cut. Throws `RangeError` outside pageSize * pageCount. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /**
   * Everything is read: its pin is released before those of the others. A checkpoint of the application that must reset
   * the log (RESTART, TRUNCATE) waits for the pin, and keeps writers out meanwhile.
   */
  release?(): void;
}

export interface Snapshot {
  readonly databases: readonly SnapshotDatabase[];
  /**
   * Something cannot be captured now, or a deletion is not in a batch yet: this is not the state after the batch, and
   * it is empty.
   */
  readonly leavesOut: boolean;
  /** Releases the pins. No read may be in progress. Idempotent. */
  release(): Promise<void>;
}

/**
 * `cut`: each open database with the index at the cut, which is its captured state; its snapshot reader is reading.
 * `others`: those that no process has open.
 */
export function snapshotOf(
  cut: Cut,
  others: readonly SnapshotDatabase[],
  leavesOut: boolean,
  onRelease: () => void,
): Snapshot {
  let released = false;
  const databases = [...cut].map(([database, index]): SnapshotDatabase => {
    const { name, pageSize, pageCount } = database;
    const layout = database.layout(index);
    const reader = new SnapshotReader(database, pageCount, layout, database.hashes());
    let isDone = false;
    return {
      name,
      pageSize,
      pageCount,
      checksum: database.checksum(),
      read(offset, length) {
        if (released || isDone) throw new Error("the snapshot is released");
        return reader.read(offset, length);
      },
      release() {
        if (!released && !isDone) database.files.closeSnapshot();
        isDone = true;
      },
    };
  });
  return {
    // Those first: no pin keeps them unchanged.
    databases: [...others, ...databases],
    leavesOut,
    release() {
      if (!released) onRelease();
      released = true;
      return Promise.resolve();
    },
  };
}

class SnapshotReader {
  readonly #database: TrackedDatabase;
  readonly #pageCount: number;
  readonly #frames: ReadonlyMap<number, number>;
  readonly #zeroPages: ReadonlySet<number>;
  readonly #hashes: PageHashes;

  constructor(
    database: TrackedDatabase,
    pageCount: number,
    layout: { frames: ReadonlyMap<number, number>; zeroPages: ReadonlySet<number> },
    hashes: PageHashes,
  ) {
    this.#hashes = hashes;
    this.#database = database;
    this.#pageCount = pageCount;
    this.#frames = layout.frames;
    this.#zeroPages = layout.zeroPages;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { pageSize } = this.#database;
    if (offset < 0 || length < 0 || offset + length > this.#pageCount * pageSize)
      throw new RangeError(`bytes ${offset}+${length} of ${this.#pageCount * pageSize}`);
    const bytes = new Uint8Array(length);
    if (length === 0) return bytes;
    await this.#fill(this.#database.files.dbFd, bytes, offset);
    const first = Math.floor(offset / pageSize) + 1;
    const last = Math.floor((offset + length - 1) / pageSize) + 1;
    for (let page = first; page <= last; page++) {
      const frame = this.#frames.get(page);
      if (frame === undefined && !this.#zeroPages.has(page)) continue;
      const pageStart = (page - 1) * pageSize;
      const start = Math.max(offset, pageStart);
      const end = Math.min(offset + length, pageStart + pageSize);
      const target = bytes.subarray(start - offset, end - offset);
      if (frame === undefined) target.fill(0);
      else await this.#frame(target, frame, start - pageStart);
    }
    this.#prove(bytes, offset);
    return bytes;
  }

  /**
   * Every whole page is what was captured (or what the replica handed over): silent decay of the disk never enters a
   * checkpoint.
   */
  #prove(bytes: Uint8Array, offset: number): void {
    const { pageSize, name } = this.#database;
    for (let page = Math.ceil(offset / pageSize) + 1; page * pageSize <= offset + bytes.byteLength; page++) {
      const start = (page - 1) * pageSize - offset;
      if (this.#hashes.isSame(page, hashPage(page, bytes.subarray(start, start + pageSize)))) continue;
      throw lostContinuity(
        name,
        `page ${page} with other content than was captured`,
        "the content of the journal; the local disk or memory changed it: restore this host",
      );
    }
  }

  async #frame(target: Uint8Array, frame: number, within: number): Promise<void> {
    const position = frameOffset(frame, this.#database.pageSize) + frameHeaderBytes + within;
    const count = await this.#fill(this.#database.files.walFd, target, position);
    if (count < target.byteLength)
      throw lostContinuity(
        this.#database.name,
        `frame ${frame} beyond the end of the log`,
        "a frame that stays readable while it is pinned",
      );
  }

  /** Bytes beyond the end of the file stay zero: only pages of the layout may lie there. */
  async #fill(fd: number, bytes: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < bytes.byteLength) {
      const { bytesRead } = await readAsync(fd, bytes, done, bytes.byteLength - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }
}
