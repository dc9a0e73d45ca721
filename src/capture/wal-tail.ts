/**
 * What lies in the write-ahead log behind the last frame that is known, whatever the WAL index says: an engine that
 * does not use the index (`vfs=unix-none`, `nolock=1`, Turso's `multiprocess_wal`) commits there and nowhere else.
 *
 * `isQuiet` costs one `fstat` while the file does not change (a quarter of a microsecond): every write changes its
 * ctime, which no program can set back. Where time stamps are coarse (a timer tick, before Linux 6.13) another write
 * may hide behind the same stamp, so a young stamp is not relied on: the log's header and the header of the next frame
 * are read again until it has settled.
 *
 * What a writer that keeps the rules leaves behind the last committed frame, and what it may not be taken for:
 *  - older bytes: frames of an earlier generation, or of a transaction that was rolled back and partly overwritten.
 *    Their salts or their checksum do not continue the chain: `nothing`.
 *  - frames that continue the chain: a transaction that is being written, or one that was rolled back after it spilled.
 *    Neither has a commit frame, except in the moment (an fsync long) in which a commit is being made, under the lock
 *    of the writer.
 *  - nothing, though the log changed: a writer with a stale idea of where the log ends wrote over captured frames. A
 *    writer that keeps the rules begins with the frame behind the captured end, and leaves the salts of this generation
 *    there, also when it rolls back or is killed. So the whole chain is read again then; it costs as much as the log is
 *    long, and no such writer causes it. The same holds for the generation before, as long as it is in the log.
 *  - frames over captured ones that also reach behind the captured end, and do not continue its chain: what is there
 *    looks like a transaction that is being written. The last captured frame tells, whose checksum is another one then.
 *  - after a reset by a checkpoint: the index begins a generation first and the header follows with the first frame, so
 *    the whole generation before is still there. It is known up to its last captured frame, or, at the first look, by
 *    its salts: those of the index follow them.
 */
import { fstatSync, type Stats } from "node:fs";
import { readChunkBytes } from "./limits.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import {
  frameBytes,
  frameHeaderBytes,
  frameOffset,
  parseWalHeader,
  takeFrame,
  type WalChecksum,
  type WalHeader,
  walHeaderBytes,
} from "./wal-frames.ts";
import { sameGeneration, type WalIndex } from "./wal-index.ts";
import { readFully, type WalPosition } from "./wal-reader.ts";

/** A younger stamp may also be that of a later write: more than a timer tick at 100 Hz, milliseconds. */
export const stampSettlesMs = 25;

/** A commit behind the captured end is proved if its pages have no more bytes than this. */
const scanBytesMax = 256 * 1024;
/** Headers that one call reads: half a millisecond. */
const scanHeadersMax = 1_024;

/** Frames that continue the chain, or a log that contradicts the index. */
export type TailEnd =
  /** Nothing, or frames of a transaction without its end. */
  | { readonly kind: "uncommitted" }
  /**
   * Ends in a commit: frame and checksum name it. `goesOn`: behind an abandoned one, which no writer that uses the
   * index continues.
   */
  | { readonly kind: "committed"; readonly end: WalPosition; readonly goesOn: boolean }
  /** The header is of another generation although frames of this one are committed, or these are incomplete now. */
  | { readonly kind: "rewritten" };

/** A frame behind the captured end that ends a transaction, and the checksum in its header. */
export interface TailCommit {
  readonly end: WalPosition;
  /** All frames up to it continue the chain; otherwise they have the salts of this generation. */
  readonly isProved: boolean;
}

/** How far the frames behind a captured end are known to have no commit. */
interface Scan {
  readonly at: WalPosition;
  /** Checksum in the header of the first one. */
  readonly first: WalChecksum;
  /** Frames up to `proved` continue the chain, which has this checksum there. */
  proved: number;
  sum: WalChecksum;
  /** Headers up to this frame were read. */
  last: number;
}

interface Seen {
  readonly at: WalPosition;
  readonly changedMs: number;
  readonly size: number;
  readonly isSettled: boolean;
}

/** The start of the chain's continuation in the file. */
interface Origin {
  readonly header: WalHeader;
  readonly from: WalPosition;
}

export class WalTail {
  readonly #files: { readonly walFd: number };
  readonly #wallTime: () => number;
  readonly #head = new Uint8Array(walHeaderBytes);
  #seen: Seen | undefined;
  /** The last frame of the generation before, which stays in the file until the next one has a first frame. */
  #before: WalPosition | undefined;
  /** The end of a commit that was never completed: it will be overwritten. */
  #abandoned: WalPosition | undefined;
  #isContinued = false;
  #scan: Scan | undefined;

  constructor(files: { readonly walFd: number }, wallTime: () => number) {
    this.#files = files;
    this.#wallTime = wallTime;
  }

  /**
   * True if nothing follows that the index, which is at `at`, does not have. False: `walk` determines what it is. Sync.
   */
  isQuiet(at: WalPosition): boolean {
    const stats = fstatSync(this.#files.walFd);
    const seen = this.#seen;
    if (seen?.isSettled === true && seen.at === at && seen.changedMs === stats.ctimeMs && seen.size === stats.size)
      return true;
    const origin = this.#origin(at, stats.size);
    if (origin === "rewritten") return false;
    const next = origin === undefined ? "nothing" : this.#nextOf(origin);
    if (next === "follows" || (next === "nothing" && this.#isUnexplained(at, origin, stats))) return false;
    if (origin !== undefined && !this.#endsAsCaptured(origin)) return false;
    this.#remember(at, stats.ctimeMs, stats.size);
    return true;
  }

  /** True if no commit lies behind `at`, finished or not: none can come without a write. Sync. */
  isAtRest(at: WalPosition): boolean {
    return this.isQuiet(at) && this.#seen?.isSettled === true && this.#abandoned === undefined;
  }

  /**
   * Returns the first commit behind the captured end, whatever the index says, except an abandoned one. Frames are read
   * once, and those of long transactions by their headers alone. `unread`: call it again. Sync.
   */
  commitBehind(at: WalPosition): TailCommit | "unread" | undefined {
    const origin = this.#origin(at, fstatSync(this.#files.walFd).size);
    if (origin === undefined || origin === "rewritten") return undefined;
    const { header, from } = origin;
    // The generation before that of the index, of which nothing is known yet: `walk` determines where it ends.
    if (from.mxFrame === 0 && isNextGeneration(at, header)) return undefined;
    const scan = this.#scanOf(at, origin);
    if (scan === undefined) return undefined;
    const provedMax = from.mxFrame + Math.max(1, Math.floor(scanBytesMax / header.pageSize));
    for (let left = scanHeadersMax; left > 0; left--) {
      const frame = scan.last + 1;
      const isProved = scan.proved === scan.last && frame <= provedMax;
      const found = isProved ? this.#prove(scan, header) : this.#headOf(frame, header);
      if (found === undefined) return undefined;
      scan.last = frame;
      const { salt1, salt2 } = header;
      const end = { salt1, salt2, mxFrame: frame, checksum1: found.sum.s1, checksum2: found.sum.s2 };
      if (found.commitPageCount > 0 && !isSame(end, this.#abandoned)) {
        // It is found again as long as it is there.
        this.#scan = undefined;
        return { end, isProved };
      }
    }
    return "unread";
  }

  /** Same, however far it is. */
  async firstCommitBehind(at: WalPosition, budget: EventLoopBudget): Promise<TailCommit | undefined> {
    for (;;) {
      const found = this.commitBehind(at);
      if (found !== "unread") return found;
      await budget.yieldIfDue();
    }
  }

  /** True if the log up to `to`, which its index names, has this commit. Sync. */
  isPartOf({ end }: TailCommit, to: Pick<WalIndex, "pageSize" | "salt1" | "salt2" | "mxFrame">): boolean {
    if (!sameGeneration(end, to) || end.mxFrame > to.mxFrame) return false;
    const head = this.#headOf(end.mxFrame, to);
    return head !== undefined && head.sum.s1 === end.checksum1 && head.sum.s2 === end.checksum2;
  }

  /** Follows the chain to its end, as recovery does. */
  async walk(at: WalPosition, budget: EventLoopBudget): Promise<TailEnd> {
    const stats = fstatSync(this.#files.walFd);
    const origin = this.#origin(at, stats.size);
    if (origin === "rewritten") return { kind: "rewritten" };
    let end = origin === undefined ? undefined : await this.#lastCommit(origin, budget);
    // At the first look it may be the generation before: the index had begun the next one. If not, a writer without the
    // index came before this look.
    if (end !== undefined && this.#seen === undefined && at.mxFrame === 0 && isNextGeneration(at, end)) {
      this.#before = end;
      end = undefined;
    }
    if (end !== undefined && !isSame(end, this.#abandoned))
      return { kind: "committed", end, goesOn: this.#isContinued };
    if (origin !== undefined && !this.#endsAsCaptured(origin)) return { kind: "rewritten" };
    if (
      origin !== undefined &&
      this.#isUnexplained(at, origin, stats) &&
      !(await this.#reaches(origin.header, origin.from, budget))
    )
      return { kind: "rewritten" };
    this.#remember(at, stats.ctimeMs, stats.size);
    return { kind: "uncommitted" };
  }

  /** `at` was captured, and another position is from now on. */
  advance(at: WalPosition): void {
    if (at.mxFrame > 0) this.#before = at;
  }

  /**
   * The log was reopened, and nothing was written since it was examined for `at`. Its ctime has changed all the same if
   * this host runs as root: SQLite gives each log that it opens the owner of its database (os_unix.c, robustFchown).
   */
  reopened(at: WalPosition): void {
    const { ctimeMs, size } = fstatSync(this.#files.walFd);
    if (this.#seen?.at === at) this.#remember(at, ctimeMs, size);
  }

  /** The commit that ends there was never visible. */
  ignoreCommit(end: WalPosition): void {
    this.#abandoned = end;
  }

  #remember(at: WalPosition, changedMs: number, size: number): void {
    this.#seen = { at, changedMs, size, isSettled: Math.abs(this.#wallTime() - changedMs) > stampSettlesMs };
  }

  /** Undefined: there is no log. */
  #origin(at: WalPosition, size: number): Origin | "rewritten" | undefined {
    const header =
      readFully(this.#files.walFd, this.#head, 0) === walHeaderBytes ? parseWalHeader(this.#head) : undefined;
    if (at.mxFrame > 0) {
      if (header === undefined || !sameGeneration(header, at) || size < frameOffset(at.mxFrame + 1, header.pageSize))
        return "rewritten";
      return { header, from: at };
    }
    if (header === undefined) return undefined;
    const before = this.#before;
    if (before !== undefined && sameGeneration(header, before)) return { header, from: before };
    const { salt1, salt2, checksum } = header;
    return { header, from: { salt1, salt2, mxFrame: 0, checksum1: checksum.s1, checksum2: checksum.s2 } };
  }

  /**
   * The log changed since it was examined for this captured end: a frame begun behind it would explain that. After a
   * reset nothing of the generation before is written any more.
   */
  #isUnexplained(
    at: WalPosition,
    origin: Origin | undefined,
    { ctimeMs, size }: Pick<Stats, "ctimeMs" | "size">,
  ): boolean {
    const seen = this.#seen;
    if (seen === undefined || (seen.changedMs === ctimeMs && seen.size === size)) return false;
    return at.mxFrame > 0 ? seen.at === at : origin?.from === this.#before && this.#before !== undefined;
  }

  /**
   * Returns what is behind the captured end. `begun`: a frame of this generation that does not continue the chain (any
   * more, or not yet).
   */
  #nextOf({ header, from }: Origin): "follows" | "begun" | "nothing" {
    const position = frameOffset(from.mxFrame + 1, header.pageSize);
    if (
      readFully(this.#files.walFd, this.#head, position) < frameHeaderBytes ||
      !sameGeneration(saltsIn(this.#head), header)
    )
      return "nothing";
    const bytes = new Uint8Array(frameBytes(header.pageSize));
    const follows =
      readFully(this.#files.walFd, bytes, position) === bytes.byteLength &&
      takeFrame(bytes, 0, header, sumOf(from)) !== undefined;
    return follows ? "follows" : "begun";
  }

  /** True if the last captured frame has its checksum, which stands for all frames before it. Sync. */
  #endsAsCaptured({ header, from }: Origin): boolean {
    if (from.mxFrame === 0) return true;
    return isSameSum(this.#headOf(from.mxFrame, header)?.sum, sumOf(from));
  }

  /** Returns what the header of a frame says, if it is of this generation. Sync. */
  #headOf(
    frame: number,
    { pageSize, salt1, salt2 }: Pick<WalHeader, "pageSize" | "salt1" | "salt2">,
  ): { readonly commitPageCount: number; readonly sum: WalChecksum } | undefined {
    if (readFully(this.#files.walFd, this.#head, frameOffset(frame, pageSize)) < frameHeaderBytes) return undefined;
    if (!sameGeneration(saltsIn(this.#head), { salt1, salt2 })) return undefined;
    const view = new DataView(this.#head.buffer, this.#head.byteOffset, frameHeaderBytes);
    return { commitPageCount: view.getUint32(4), sum: { s1: view.getUint32(16), s2: view.getUint32(20) } };
  }

  /**
   * Returns the scan of the frames behind `at`, a new one if the first or the last proved frame has changed: SQLite
   * writes pages of a transaction again, and a writer without locks writes over them. Undefined: there are none.
   */
  #scanOf(at: WalPosition, { header, from }: Origin): Scan | undefined {
    const first = this.#headOf(from.mxFrame + 1, header)?.sum;
    if (first === undefined) return undefined;
    const scan = this.#scan;
    const isCurrent =
      scan?.at === at &&
      isSameSum(scan.first, first) &&
      (scan.proved === from.mxFrame || isSameSum(this.#headOf(scan.proved, header)?.sum, scan.sum));
    return isCurrent ? scan : (this.#scan = { at, first, proved: from.mxFrame, sum: sumOf(from), last: from.mxFrame });
  }

  /** Takes the next frame of a scan, if it continues the chain. Sync. */
  #prove(scan: Scan, header: WalHeader): { readonly commitPageCount: number; readonly sum: WalChecksum } | undefined {
    const bytes = new Uint8Array(frameBytes(header.pageSize));
    const sum = { ...scan.sum };
    if (readFully(this.#files.walFd, bytes, frameOffset(scan.proved + 1, header.pageSize)) < bytes.byteLength)
      return undefined;
    const frame = takeFrame(bytes, 0, header, sum);
    if (frame === undefined) return undefined;
    scan.proved += 1;
    scan.sum = sum;
    return { commitPageCount: frame.commitPageCount, sum };
  }

  /** True if all frames up to the captured end are in the file. */
  async #reaches(header: WalHeader, at: WalPosition, budget: EventLoopBudget): Promise<boolean> {
    const size = frameBytes(header.pageSize);
    const perChunk = Math.max(1, Math.floor(readChunkBytes / size));
    const sum = { ...header.checksum };
    for (let first = 1; first <= at.mxFrame; first += perChunk) {
      const bytes = new Uint8Array(Math.min(perChunk, at.mxFrame + 1 - first) * size);
      if (readFully(this.#files.walFd, bytes, frameOffset(first, header.pageSize)) < bytes.byteLength) return false;
      for (let offset = 0; offset < bytes.byteLength; offset += size)
        if (takeFrame(bytes, offset, header, sum) === undefined) return false;
      await budget.yieldIfDue();
    }
    return sum.s1 === at.checksum1 && sum.s2 === at.checksum2;
  }

  async #lastCommit({ header, from }: Origin, budget: EventLoopBudget): Promise<WalPosition | undefined> {
    const size = frameBytes(header.pageSize);
    const perChunk = Math.max(1, Math.floor(readChunkBytes / size));
    const bytes = new Uint8Array(perChunk * size);
    const sum = sumOf(from);
    let end: WalPosition | undefined;
    this.#isContinued = false;
    for (let first = from.mxFrame + 1; ; first += perChunk) {
      const count = Math.floor(readFully(this.#files.walFd, bytes, frameOffset(first, header.pageSize)) / size);
      for (let i = 0; i < count; i++) {
        const frame = takeFrame(bytes, i * size, header, sum);
        if (frame === undefined) return end;
        if (isSame(end, this.#abandoned)) this.#isContinued = true;
        if (frame.commitPageCount > 0)
          end = { salt1: header.salt1, salt2: header.salt2, mxFrame: first + i, checksum1: sum.s1, checksum2: sum.s2 };
      }
      if (count < perChunk) return end;
      await budget.yieldIfDue();
    }
  }
}

/** A reset adds one to the first salt and draws the second (wal.c, walRestartHdr). An index without frames has 0. */
const isNextGeneration = (at: WalPosition, before: { readonly salt1: number }): boolean =>
  at.salt1 === (before.salt1 + 1) >>> 0;

const sumOf = (at: WalPosition): WalChecksum => ({ s1: at.checksum1, s2: at.checksum2 });

function saltsIn(frameHeader: Uint8Array): { salt1: number; salt2: number } {
  const view = new DataView(frameHeader.buffer, frameHeader.byteOffset, frameHeaderBytes);
  return { salt1: view.getUint32(8), salt2: view.getUint32(12) };
}

const isSameSum = (a: WalChecksum | undefined, b: WalChecksum | undefined): boolean =>
  a !== undefined && b !== undefined && a.s1 === b.s1 && a.s2 === b.s2;

const isSame = (a: WalPosition | undefined, b: WalPosition | undefined): boolean =>
  a !== undefined &&
  b !== undefined &&
  a.mxFrame === b.mxFrame &&
  sameGeneration(a, b) &&
  a.checksum1 === b.checksum1 &&
  a.checksum2 === b.checksum2;
