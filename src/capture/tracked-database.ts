/**
 * One captured database: the captured part of its log, the hash of every page at that state, and where the content of
 * every page at that state can be read.
 *
 * A page at the captured state is, in this order: zeros (the lock page, and pages that came into being without
 * content); the frame of this generation that wrote it last; the database file. `pin.ts` says why the last two stay
 * readable. Only `accept` changes the captured state, and only with changes that were read and proved completely.
 */
import { fstatSync } from "node:fs";
import type { Rules } from "../core/rules.ts";
import type { Clock } from "../runtime/clock.ts";
import { CaptureError, lostContinuity } from "./capture-error.ts";
import type { DatabaseFiles } from "./database-files.ts";
import { Deletion } from "./deletion.ts";
import { inDatabaseFile, readBase, readSince, type Resumed } from "./base-reader.ts";
import { FileWatch } from "./file-watch.ts";
import { planFrames } from "./frame-stream.ts";
import { hashPage, lockPage, PageHashes } from "./page-hashes.ts";
import { busyPollMsMax } from "./limits.ts";
import { Pin } from "./pin.ts";
import { changesReadAhead, type ReadAhead } from "./read-ahead.ts";
import { otherPageSize, overwritten } from "./refusals.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import type { UnfinishedCommits } from "./unfinished-commits.ts";
import type { StagedPages } from "./staged-pages.ts";
import type { WholeFile } from "./whole-file.ts";
import { frameBytes, frameHeaderBytes, frameOffset } from "./wal-frames.ts";
import { sameGeneration, samePosition, type WalIndex, WalIndexReader } from "./wal-index.ts";
import { type FrameRange, readFrames, readFully, type WalPosition } from "./wal-reader.ts";

/** New last contents of pages, read and proved, not yet part of the captured state. */
export interface Changes {
  readonly database: TrackedDatabase;
  readonly to: WalIndex;
  readonly pageCount: number;
  /** Page -> frame of generation `to`, or `inDatabaseFile`; only pages up to pageCount. */
  readonly frames: Map<number, number>;
  /** Page -> content, if it is kept in memory. */
  readonly contents: Map<number, Uint8Array> | undefined;
  /** These frames are still to be read and proved, and there are no hashes before that (frame-stream.ts). */
  readonly unread?: FrameRange | undefined;
  /** Positions of pages that have the captured content but are in the log all the same: after `resume`. */
  readonly located?: ReadonlyMap<number, number>;
  /** Of the pages in `frames`; for the first capture of a database (every page) the whole table. */
  readonly hashes: ReadonlyMap<number, Uint8Array> | PageHashes;
  /** Put before the pages in `frames`, of a transaction that was read ahead. */
  readonly staged?: { readonly parts: readonly StagedPages[]; readonly headBytes: number } | undefined;
}

/**
 * - `keep`: contents stay in memory. - `again`: they are proved and hashed now, and read again later. - `stream`:
 *   frames behind what is captured are read once, later; a
 * database that was never captured is read as `again`.
 */
export type Reading = "keep" | "again" | "stream";

export interface TrackingOptions {
  readonly rules: Rules;
  readonly clock: Clock;
  onWarning(text: string): void;
  readonly unfinished: UnfinishedCommits;
  /** The captured state of this very file before it was closed, when no process had it open. */
  readonly resume?: Resumed | undefined;
  /** For a file that SQLite's locks do not protect: it must be complete when it is first read. */
  readonly whole?: WholeFile | undefined;
}

export class TrackedDatabase {
  readonly name: string;
  readonly files: DatabaseFiles;
  readonly index: WalIndexReader;
  readonly pin: Pin;
  readonly watch: FileWatch;
  readonly pageSize: number;
  /** Batches that still read pages through the pin: it must not move. */
  holds = 0;
  /** No seal is tried before this, and the pause after the next failed one, monotonic milliseconds. */
  sealAfterMs = 0;
  sealRetryMs = 0;
  /** A transaction behind the captured end that is read while it is being written. */
  ahead: ReadAhead | undefined;
  /** A backfill in another thread is in progress; never rejects. */
  backfilling: Promise<void> | undefined;
  #captured: WalPosition | undefined;
  #deletion: Deletion | undefined;
  /** Undefined: counts from the next query. */
  #stillSinceMs: number | undefined;
  /**
   * Since when a checkpoint keeps the writers out, monotonic milliseconds, and the index then: no commit moves it
   * meanwhile.
   */
  #keptOut: { readonly sinceMs: number; readonly at: WalIndex } | undefined;
  readonly #resume: Resumed | undefined;
  /** False: a process has written to it without SQLite's locks since it was attached. */
  readonly #isWhole: () => boolean;
  #hashes: PageHashes;
  #frames = new Map<number, number>();
  #zeroPages = new Set<number>();

  constructor(
    name: string,
    files: DatabaseFiles,
    { rules, clock, onWarning, unfinished, resume, whole }: TrackingOptions,
  ) {
    this.name = name;
    this.files = files;
    this.index = new WalIndexReader(files);
    this.watch = new FileWatch({ files, index: this.index, clock, onWarning, unfinished });
    this.pin = new Pin(files.readers, this.index, rules);
    this.pageSize = this.#pragma("page_size");
    if (resume !== undefined && resume.hashes.pageSize !== this.pageSize)
      throw otherPageSize(name, this.pageSize, resume.hashes.pageSize);
    this.#hashes = resume?.hashes.copy() ?? new PageHashes(this.pageSize);
    this.#resume = resume;
    this.#isWhole = () => whole?.isWhole(files.dbFd, clock.now(), clock.wallTime()) ?? true;
    if (this.pageCount >= lockPage(this.pageSize)) this.#zeroPages.add(lockPage(this.pageSize));
  }

  /** The hashes of all pages at the captured state, for comparing while writers continue. */
  hashes(): PageHashes {
    return this.#hashes.copy();
  }

  /** The same, not a copy: valid while nothing is captured. */
  get pageHashes(): PageHashes {
    return this.#hashes;
  }

  /** Undefined until the first capture. */
  get captured(): WalPosition | undefined {
    return this.#captured;
  }

  /** True if the journal has it: captured, or captured before it was closed. */
  get isKnown(): boolean {
    return this.#captured !== undefined || this.#resume !== undefined;
  }

  get pageCount(): number {
    return this.#hashes.pageCount;
  }

  checksum(): Uint8Array {
    return this.#hashes.checksum();
  }

  /**
   * Takes over the hashes of the replica that wrote this file, if the file is unchanged: nothing in the log, and the
   * size fits. The caller guarantees that no process wrote in between.
   */
  adopt(known: PageHashes | undefined): void {
    const index = this.look();
    if (known === undefined || index === undefined || index.mxFrame > 0 || this.files.switched !== undefined) return;
    if (known.pageSize !== this.pageSize) return;
    if (fstatSync(this.files.dbFd).size !== known.pageSize * known.pageCount) return;
    // Cheap, and sensitive to most changes of the file; a checkpoint's read detects the rest.
    if (!known.isSame(1, hashPage(1, this.readPage(1, inDatabaseFile)))) return;
    this.#hashes = known;
    if (known.pageCount >= lockPage(known.pageSize)) this.#zeroPages.add(lockPage(known.pageSize));
    this.#captured = index;
  }

  /** Sync, half a microsecond. */
  isAhead(): boolean {
    const at = this.#captured;
    return at === undefined || !this.index.isAt(at.salt1, at.salt2, at.mxFrame);
  }

  /**
   * True if something moved that the index does not show: nothing may be released before it is examined. Sync, half a
   * microsecond.
   */
  isSuspicious(): boolean {
    return this.#captured !== undefined && this.watch.isSuspicious(this.#captured);
  }

  /**
   * A new pin may take the very slot for which a checkpoint that keeps the writers out is asking: SQLite decides once
   * that it waits for a slot, from its mark at that time, and does not check again whether a newer reader has it;
   * successive pins would never leave it. While frames are to be copied, the old pin therefore stays until that
   * checkpoint has asked once more. Keeping a pin is always safe. Sync, a microsecond.
   */
  mayMovePin(nowMs: number, isKeptOut = this.watch.isWriterKeptOut): boolean {
    if (isKeptOut !== true) {
      this.#keptOut = undefined;
      return true;
    }
    const index = this.look();
    if (index === undefined) return false;
    // Commits came in between: it is another checkpoint. The time between two looks is no criterion, since it is long
    // on a busy machine.
    if (this.#keptOut === undefined || !samePosition(this.#keptOut.at, index))
      this.#keptOut = { sinceMs: nowMs, at: index };
    return nowMs - this.#keptOut.sinceMs > busyPollMsMax || index.nBackfill === index.mxFrame;
  }

  /** Its file is deleted: `deletion` is watched from here on. */
  retire(): void {
    this.#deletion = new Deletion(this);
  }

  get deletion(): Deletion | undefined {
    return this.#deletion;
  }

  /**
   * True if nothing has happened for this long, and no commit can come without a write to the log. Sync, a microsecond.
   */
  isStill(nowMs: number, forMs: number): boolean {
    const at = this.#captured;
    this.#stillSinceMs ??= nowMs;
    if (
      at === undefined ||
      nowMs - this.#stillSinceMs < forMs ||
      this.holds > 0 ||
      this.files.areWritersLocked ||
      this.backfilling !== undefined
    )
      return false;
    // At its end nothing is written, and the pin must move once more, or RESTART and TRUNCATE wait for it under the
    // writer's lock. One that came and went since the last look counts.
    if (this.watch.isCheckpointed()) {
      this.disturb();
      return false;
    }
    return !this.isAhead() && this.watch.isAtRest(at);
  }

  /** Something happened, or may have. */
  disturb(): void {
    this.#stillSinceMs = undefined;
  }

  /** Returns the present index; undefined while it is torn. Throws if it cannot be captured. */
  look(): WalIndex | undefined {
    const look = this.index.look();
    switch (look.kind) {
      case "torn":
        return undefined;
      case "unknown":
        throw new CaptureError({
          kind: "not-wal",
          database: this.name,
          found: `a WAL index of version ${look.version}`,
          accepted: "version 3007000 (journal_mode=WAL)",
          advice: "Use journal_mode=WAL; wal2 and other modes cannot be captured.",
        });
      case "index":
        return look.index;
    }
  }

  /** Bytes of frames between the captured state and `to`, an upper bound of the pages' content. */
  backlogBytes(to: WalIndex): number {
    const at = this.#captured;
    if (at === undefined) return this.#pageCountAt(to) * this.pageSize;
    return (sameGeneration(at, to) ? Math.max(0, to.mxFrame - at.mxFrame) : to.mxFrame) * this.pageSize;
  }

  walBytes(index: Pick<WalIndex, "mxFrame">): number {
    return index.mxFrame * frameBytes(this.pageSize);
  }

  /**
   * Reads and proves (or, for a stream, plans) everything between the captured state and `to`, which was read from the
   * index after the current pin (or the next one) began. Undefined: nothing new.
   */
  async read(to: WalIndex, reading: Reading, budget: EventLoopBudget): Promise<Changes | undefined> {
    const at = this.#captured;
    const keepContents = reading === "keep";
    if (at === undefined) {
      if (!this.#isWhole()) return undefined;
      const options = { database: this, to, pageCount: this.#pageCountAt(to), keepContents, budget };
      return this.#resume === undefined ? readBase(options) : readSince(this.#resume, options);
    }
    const from = this.#continuation(at, to);
    if (to.mxFrame === from.mxFrame) {
      // An empty generation: nothing to read, but positions count from its start.
      return sameGeneration(at, to)
        ? undefined
        : { database: this, to, pageCount: this.pageCount, frames: new Map(), contents: undefined, hashes: new Map() };
    }
    const range = { name: this.name, walFd: this.files.walFd, from, to };
    const ahead = keepContents || from.mxFrame !== at.mxFrame ? undefined : await changesReadAhead(this, to, budget);
    if (ahead !== undefined) return ahead;
    if (reading === "stream")
      return {
        database: this,
        to,
        pageCount: to.pageCount,
        frames: await planFrames(range, budget),
        contents: undefined,
        hashes: new Map(),
        unread: range,
      };
    const frames = new Map<number, number>();
    const contents = keepContents ? new Map<number, Uint8Array>() : undefined;
    const hashes = new Map<number, Uint8Array>();
    await readFrames(range, budget, (page, frame, content) => {
      frames.set(page, frame);
      // Content that is not kept is hashed at once: reading it again costs more than hashing a page twice that was
      // written twice.
      if (contents === undefined) hashes.set(page, hashPage(page, content));
      else contents.set(page, content);
    });
    for (const page of frames.keys())
      if (page > to.pageCount) for (const map of [frames, contents, hashes]) map?.delete(page);
    for (const [page, content] of contents ?? []) {
      hashes.set(page, hashPage(page, content));
      if (hashes.size % 64 === 0) await budget.yieldIfDue();
    }
    return { database: this, to, pageCount: to.pageCount, frames, contents, hashes };
  }

  /** Makes changes the captured state. */
  accept(changes: Changes): void {
    const { to, pageCount, hashes, frames, located = frames } = changes;
    const at = this.#captured;
    if (at !== undefined && !sameGeneration(at, to)) this.#frames.clear();
    const before = this.#hashes.pageCount;
    for (let page = pageCount + 1; page <= before; page++) {
      this.#frames.delete(page);
      this.#zeroPages.delete(page);
    }
    for (let page = before + 1; page <= pageCount; page++) if (!located.has(page)) this.#zeroPages.add(page);
    if (hashes instanceof PageHashes) this.#hashes = hashes;
    else this.#hashes.change(pageCount, hashes);
    for (const [page, frame] of located) {
      this.#zeroPages.delete(page);
      if (frame !== inDatabaseFile) this.#frames.set(page, frame);
    }
    if (at !== undefined) this.watch.advance(at, to);
    this.ahead?.close(changes.staged?.parts.map(({ staged }) => staged) ?? []);
    this.ahead = undefined;
    this.#captured = to;
    this.disturb();
  }

  /**
   * Proves that every page in the database file that is not in the log equals the captured one. No checkpoint can bring
   * a page of a later state there: it copies up to the pin at most. False: the index is torn, so the result is unknown
   * now. Throws `CaptureError`.
   */
  async proveFile(budget: EventLoopBudget): Promise<boolean> {
    const index = this.look();
    if (index === undefined) return false;
    const { frames, zeroPages } = this.layout(index);
    for (let page = 1; page <= this.pageCount; page++) {
      if (page % 64 === 0) await budget.yieldIfDue();
      if (frames.has(page) || zeroPages.has(page)) continue;
      const content = new Uint8Array(this.pageSize);
      readFully(this.files.dbFd, content, (page - 1) * this.pageSize);
      if (!this.#hashes.isSame(page, hashPage(page, content))) throw overwritten(this.name, page);
    }
    return true;
  }

  /** Returns where the captured state can be read, as long as a pin that began before `index` was read is held. */
  layout(index: WalIndex): { frames: Map<number, number>; zeroPages: Set<number> } {
    const frames = new Map<number, number>();
    for (const [page, frame] of this.#frames) if (frame > index.nBackfill) frames.set(page, frame);
    return { frames, zeroPages: new Set(this.#zeroPages) };
  }

  /** Reads one page through the descriptors; short reads (beyond the end of the file) are an error of the caller. */
  readPage(page: number, frame: number): Uint8Array {
    return this.readRun(page, frame, 1)[0] as Uint8Array;
  }

  /** Same for consecutive pages of the file, or consecutive frames of which `page` is the first. */
  readRun(page: number, frame: number, count: number): Uint8Array[] {
    const { pageSize, files } = this;
    const inFile = frame === inDatabaseFile;
    const stride = inFile ? pageSize : frameBytes(pageSize);
    const bytes = new Uint8Array((count - 1) * stride + pageSize);
    const position = inFile ? (page - 1) * pageSize : frameOffset(frame, pageSize) + frameHeaderBytes;
    const isWhole = readFully(inFile ? files.dbFd : files.walFd, bytes, position) === bytes.byteLength;
    if (isWhole) return Array.from({ length: count }, (_, i) => bytes.subarray(i * stride, i * stride + pageSize));
    throw lostContinuity(
      this.name,
      `page ${page} beyond the end of its file`,
      "a page that stays readable while it is pinned",
    );
  }

  /** Returns from where the frames up to `to` continue the captured state. Throws if they do not. */
  #continuation(at: WalPosition, to: WalIndex): WalPosition {
    if (to.mxFrame > 0 && to.pageSize !== this.pageSize) {
      throw otherPageSize(this.name, to.pageSize, this.pageSize);
    }
    if (!sameGeneration(at, to)) return { salt1: to.salt1, salt2: to.salt2, mxFrame: 0, checksum1: 0, checksum2: 0 };
    if (to.mxFrame < at.mxFrame)
      throw lostContinuity(
        this.name,
        `a log that went back from frame ${at.mxFrame} to ${to.mxFrame}`,
        "a log that only grows",
      );
    return at;
  }

  /**
   * With an empty log the index does not know the size (recovery leaves 0 there). The file does, and its next commit
   * says the same (pager.c, `pagerPagecount`). Its header (PRAGMA page_count) may say less: the file was grown in
   * chunks, or has a rest at its end.
   */
  #pageCountAt(to: WalIndex): number {
    return to.mxFrame > 0 ? to.pageCount : Math.floor(fstatSync(this.files.dbFd).size / this.pageSize);
  }

  #pragma(name: "page_size"): number {
    const [first, second] = this.files.readers;
    const reader = second.isReading ? second : first;
    const row = reader.connection.prepare(`PRAGMA ${name}`).get() as Record<string, number> | undefined;
    const value = row?.[name];
    if (value === undefined) throw new Error(`PRAGMA ${name} gave no answer`);
    return value;
  }
}
