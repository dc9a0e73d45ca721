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
import type { PageHashes } from "./page-hashes.ts";
import { PageHasher } from "./page-hasher.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import { frameBytes, frameHeaderBytes, frameOffset } from "./wal-frames.ts";

const readAsync = promisify(read);

export interface SnapshotDatabase {
  readonly name: string;
  /** Bytes. */
  readonly pageSize: number;
  readonly pageCount: number;
  readonly checksum: Uint8Array;
  /**
   * Whole pages of the database file at the cut, proven. `offset` and `length` in bytes; throws `RangeError` for parts
   * of pages, and outside pageSize * pageCount.
   */
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
  const readers: SnapshotReader[] = [];
  const closing: Promise<void>[] = [];
  const databases = [...cut].map(([database, index]): SnapshotDatabase => {
    const { name, pageSize, pageCount } = database;
    const layout = database.layout(index);
    const reader = new SnapshotReader(database, pageCount, layout, database.hashes());
    let isDone = false;
    readers.push(reader);
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
        if (!isDone) closing.push(reader.close());
        isDone = true;
      },
    };
  });
  return {
    // Those first: no pin keeps them unchanged.
    databases: [...others, ...databases],
    leavesOut,
    async release() {
      if (!released) onRelease();
      released = true;
      await Promise.all([...closing, ...readers.map((reader) => reader.close())]);
    },
  };
}

/** Pages one after the other in the database that are so in one place, too. */
type Run =
  | { readonly kind: "frames"; readonly frame: number; readonly pages: number }
  | { readonly kind: "file" | "zeros"; readonly pages: number };

class SnapshotReader {
  readonly #database: TrackedDatabase;
  readonly #pageCount: number;
  readonly #frames: ReadonlyMap<number, number>;
  readonly #zeroPages: ReadonlySet<number>;
  readonly #hashes: PageHashes;
  readonly #hasher: PageHasher;

  constructor(
    database: TrackedDatabase,
    pageCount: number,
    layout: { frames: ReadonlyMap<number, number>; zeroPages: ReadonlySet<number> },
    hashes: PageHashes,
  ) {
    this.#hasher = new PageHasher(pageCount * database.pageSize);
    this.#hashes = hashes;
    this.#database = database;
    this.#pageCount = pageCount;
    this.#frames = layout.frames;
    this.#zeroPages = layout.zeroPages;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const { pageSize } = this.#database;
    const isOfPages = offset % pageSize === 0 && length % pageSize === 0;
    if (!isOfPages || offset < 0 || length < 0 || offset + length > this.#pageCount * pageSize)
      throw new RangeError(`bytes ${offset}+${length} of ${this.#pageCount * pageSize}, in pages of ${pageSize}`);
    if (length === 0) return new Uint8Array(0);
    const bytes = new Uint8Array(length);
    const first = offset / pageSize + 1;
    const last = (offset + length) / pageSize;
    for (let page = first; page <= last; ) {
      const run = this.#runFrom(page, last);
      const at = (page - first) * pageSize;
      const target = bytes.subarray(at, at + run.pages * pageSize);
      // New memory has zeros.
      if (run.kind === "file") await this.#fill(this.#database.files.dbFd, target, offset + at);
      else if (run.kind === "frames") await this.#readFrames(target, run.frame);
      page += run.pages;
    }
    return this.#prove(bytes, offset);
  }

  /** Pages that one call reads, from this one on: a transaction leaves neighbours in neighbouring frames. */
  #runFrom(page: number, last: number): Run {
    const frame = this.#frames.get(page);
    const isZero = this.#zeroPages.has(page);
    const belongs = (next: number): boolean => {
      const nextFrame = this.#frames.get(next);
      if (frame !== undefined) return nextFrame === frame + next - page;
      return nextFrame === undefined && this.#zeroPages.has(next) === isZero;
    };
    let pages = 1;
    while (page + pages <= last && belongs(page + pages)) pages += 1;
    if (frame !== undefined) return { kind: "frames", frame, pages };
    return { kind: isZero ? "zeros" : "file", pages };
  }

  /**
   * Returns the bytes, of which every page is what was captured (or what the replica handed over): silent decay of the
   * disk never enters a checkpoint.
   */
  async #prove(read: Uint8Array, offset: number): Promise<Uint8Array> {
    const { pageSize, name } = this.#database;
    const first = offset / pageSize + 1;
    const { bytes, hashes } = await this.#hasher.hash({ bytes: read, pageSize, first });
    const other = this.#hashes.firstOther(first, hashes);
    if (other === undefined) return bytes;
    throw lostContinuity(
      name,
      `page ${other} with other content than was captured`,
      "the content of the journal; the local disk or memory changed it: restore this host",
    );
  }

  /** Reads the pages in frames from `first` on, in one call: the headers between them are left out afterwards. */
  async #readFrames(target: Uint8Array, first: number): Promise<void> {
    const { pageSize, name, files } = this.#database;
    const stride = frameBytes(pageSize);
    const pages = target.byteLength / pageSize;
    const raw = pages === 1 ? target : new Uint8Array((pages - 1) * stride + pageSize);
    const count = await this.#fill(files.walFd, raw, frameOffset(first, pageSize) + frameHeaderBytes);
    if (count < raw.byteLength)
      throw lostContinuity(
        name,
        `frame ${first + Math.floor(count / stride)} beyond the end of the log`,
        "a frame that stays readable while it is pinned",
      );
    if (raw === target) return;
    for (let page = 0; page < pages; page++)
      target.set(raw.subarray(page * stride, page * stride + pageSize), page * pageSize);
  }

  close(): Promise<void> {
    return this.#hasher.close();
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
