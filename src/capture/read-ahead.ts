/**
 * Reads the frames of one large transaction while it is being written and stages them in the vault, so that its answer
 * waits for little more than the names of the staged parts. After a rollback the parts are dropped.
 *
 * **No staged part is a record before the commit.** It has no name: no reader finds it, no other flush waits for it,
 * and it is removed as any temporary of a put is, also when this process dies.
 *
 * **Why the pages that were taken ahead are the committed ones.** SQLite changes frames of a transaction until its
 * commit: a page that is written again after the cache has spilled it overwrites its frame (wal.c, `walFrames`:
 * `iWrite>=iFirst`), later frames have zeros for salts and checksum until the commit computes them again (`iReCksum`,
 * `walRewriteChecksums`), and a savepoint that is rolled back lets other pages take the places of its frames. So no
 * frame is believed before the commit. When the index says that frames up to `mxFrame` are committed, they do not
 * change any more: readers rely on that, the pin keeps the log from starting over, and captured frames are watched for
 * writers without the index. Then each of them is read again and compared:
 * - its salts, its page number, and the chain of checksums from the captured end to the one in the index, frame by
 *   frame, as for any other commit;
 * - its content, by 64 bits of a fast hash under a seed that is drawn at the start and kept secret. The checksum of the
 *   log would not suffice: it is linear, and two top bits that change 24 bytes apart cancel out (for example a sign
 *   that changes in two rows of one page). SHA-256 would suffice, at ten times the cost. A frame that differs is hashed
 *   again, and its page is put with the last parts; so is every page for which the staged parts do not end with the
 *   committed content (staged-pages.ts). A host that applies the flush computes the checksum of the whole database from
 *   the pages that it got, and the hash of a record is that of the bytes that the vault gives back.
 *
 * How one would try to break it: take frames of a transaction that is rolled back, and commit another transaction in
 * their place (every frame differs; parts with pages that the commit leaves unchanged are not put); kill the writer
 * (nothing is committed; the next writer's transaction is that other one); let the transaction restart the log first
 * (the captured end moves then, and the frames taken before belong to another transaction: `isOf`).
 *
 * Attacked in test/capture/read-ahead.test.ts: "leaves nothing when it is rolled back", "that is rolled back and
 * followed by another one".
 *
 * Memory: a few parts at a time, and 36 bytes for each frame.
 */
import type { StagedBytes } from "../core/delta.ts";
import type { FrameLog, FrameThread, TakenFrames } from "./frame-thread.ts";
import { stagedPartsMax, stagingAtOnceMax } from "./limits.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import type { Changes, TrackedDatabase } from "./tracked-database.ts";
import { type CommittedPages, mergeParts, type TakenPages } from "./staged-pages.ts";
import { markOf } from "./staged-part.ts";
import { isNativeOrder, parseWalHeader, walHeaderBytes, type WalChecksum } from "./wal-frames.ts";
import { sameGeneration, type WalIndex } from "./wal-index.ts";
import { readFully, type WalPosition } from "./wal-reader.ts";
import { writtenUpTo } from "./written-frames.ts";

/** The place for pages ahead of their commit. */
export interface PartStage {
  /** Room that a part of this database needs before its pages, bytes. */
  bytesBeforePages(name: string): number;
  /** Resolves when they are durable; the bytes are not used afterwards. Undefined: nothing is gained by it. */
  stage(bytes: Uint8Array): Promise<StagedBytes | undefined>;
}

export interface ReadAheadOptions {
  readonly thread: FrameThread;
  readonly stage: PartStage;
  readonly name: string;
  readonly files: { readonly walFd: number; readonly shmFd: number };
  readonly pageSize: number;
  /** Bytes of pages in a part. */
  readonly partBytes: number;
  /** The captured end, and the end of the index too. */
  readonly base: WalPosition;
}

type Generation = Pick<WalPosition, "salt1" | "salt2">;
type Taken = TakenFrames & {
  readonly at: number;
  readonly staged: Promise<StagedBytes | undefined>;
  readonly mark: bigint;
};

export class ReadAhead {
  /** Room in each part before its pages, bytes. */
  readonly headBytes: number;
  readonly #options: ReadAheadOptions;
  readonly #generation: Generation;
  readonly #framesPerPart: number;
  readonly #taken: Taken[] = [];
  readonly #changed = new Map<number, { readonly page: number; readonly hash: Uint8Array }>();
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #rooms: ArrayBuffer[] = [];
  /** Number of frames that were taken, and of those among them that are proved, up to `#sum`. */
  #count = 0;
  #proved = 0;
  #sum: WalChecksum;
  #commitPageCount = 0;
  /** Taking ahead, in the background. */
  #running: Promise<void> | undefined;
  #state: "taking" | "settling" | "over" = "taking";

  private constructor(options: ReadAheadOptions, generation: Generation, sum: WalChecksum) {
    this.#options = options;
    this.#generation = generation;
    this.headBytes = options.stage.bytesBeforePages(options.name);
    this.#framesPerPart = Math.max(1, Math.floor(options.partBytes / options.pageSize));
    this.#sum = sum;
  }

  /** Undefined: the log cannot be read ahead now. */
  static begin(options: ReadAheadOptions): ReadAhead | undefined {
    const { base, files, pageSize } = options;
    const bytes = new Uint8Array(walHeaderBytes);
    const header = readFully(files.walFd, bytes, 0) === walHeaderBytes ? parseWalHeader(bytes) : undefined;
    if (header === undefined || header.pageSize !== pageSize || !isNativeOrder(header)) return undefined;
    // The index of a new log does not name its generation before the first commit. One that names another than the
    // header does is ahead of it: the frames in the file are those of the generation before.
    const isUnnamed = base.mxFrame === 0 && base.salt1 === 0 && base.salt2 === 0;
    if (!isUnnamed && !sameGeneration(header, base)) return undefined;
    const sum = base.mxFrame === 0 ? { ...header.checksum } : { s1: base.checksum1, s2: base.checksum2 };
    return new ReadAhead(options, header, sum);
  }

  /** True if the frames were taken behind this captured end, which has not moved. */
  isOf(at: WalPosition | undefined): boolean {
    return this.#state !== "over" && this.#options.base === at;
  }

  /** True if the frames that were taken were rolled back, as far as the index tells. Sync. */
  isRolledBack(): boolean {
    const { files, base } = this.#options;
    return this.#count > 0 && this.#running === undefined && writtenUpTo(files.shmFd, base.mxFrame, 1) === base.mxFrame;
  }

  /** Takes the frames that are written by now, if they fill a part, in the background. Sync, a few microseconds. */
  look(): void {
    if (this.#state !== "taking" || this.#running !== undefined || this.#taken.length >= stagedPartsMax) return;
    const { files, base } = this.#options;
    const from = base.mxFrame + this.#count;
    if (writtenUpTo(files.shmFd, from, this.#framesPerPart) - from < this.#framesPerPart) return;
    this.#running = this.#take(this.#framesPerPart, true).then(
      (count) => {
        this.#running = undefined;
        if (count > 0) this.look();
      },
      () => {
        // The thread has ended: the remaining frames are read after the commit.
        this.#running = undefined;
        this.close([]);
      },
    );
  }

  /**
   * Takes the remaining frames up to `to`, which is committed, and proves all of them. Undefined: they must be read
   * otherwise. Calling it again continues from there. Never rejects.
   */
  async settle(to: WalIndex, budget: EventLoopBudget): Promise<CommittedPages | undefined> {
    if (this.#state === "over" || !sameGeneration(this.#generation, to)) return undefined;
    this.#state = "settling";
    try {
      await this.#running;
      const { base } = this.#options;
      const count = to.mxFrame - base.mxFrame;
      while (this.#count < count) if ((await this.#takeRest(count - this.#count)) === 0) return undefined;
      if (!(await this.#prove(count)) || !this.#endsAt(to)) return undefined;
      const parts = await Promise.all(
        this.#taken.map(async ({ staged, ...taken }): Promise<TakenPages> => ({ ...taken, staged: await staged })),
      );
      return await mergeParts(
        parts,
        { base: base.mxFrame, count, pageCount: to.pageCount, changed: this.#changed },
        budget,
      );
    } catch {
      // The thread is gone.
      return undefined;
    }
  }

  /** Drops the staged parts that are not in `put`. Calling it again does nothing. */
  close(put: readonly StagedBytes[]): void {
    if (this.#state === "over") return;
    this.#state = "over";
    const stays = new Set(put);
    const drop = (): void => {
      const dropOther = (bytes: StagedBytes | undefined): void => {
        if (bytes !== undefined && !stays.has(bytes)) bytes.drop();
      };
      // A part that could not be staged is undefined: these never reject.
      for (const { staged } of this.#taken) staged.then(dropOther, () => undefined);
    };
    if (this.#running === undefined) drop();
    else this.#running.then(drop, drop);
  }

  /** Resolves when nothing is read or staged any more; call it after `close`. */
  async closed(): Promise<void> {
    await this.#running;
    await Promise.allSettled(this.#inFlight);
  }

  #endsAt(to: WalIndex): boolean {
    return this.#sum.s1 === to.checksum1 && this.#sum.s2 === to.checksum2 && this.#commitPageCount === to.pageCount;
  }

  /** Takes committed frames; a small rest is not staged, and is read again when it is put. */
  #takeRest(count: number): Promise<number> {
    const { pageSize, partBytes } = this.#options;
    const isWorthIt = count * pageSize >= partBytes / 2 && this.#taken.length < stagedPartsMax;
    return this.#take(Math.min(this.#framesPerPart, count), isWorthIt);
  }

  /** How many frames. Rejects when the thread is gone. */
  async #take(atMost: number, isStaged: boolean): Promise<number> {
    const { thread, files, base } = this.#options;
    while (this.#inFlight.size >= stagingAtOnceMax) await Promise.race(this.#inFlight);
    const part = await thread.take({
      ...this.#log(files.walFd),
      first: base.mxFrame + this.#count + 1,
      count: atMost,
      headBytes: this.headBytes,
      room: this.#rooms.pop(),
    });
    if (part === undefined) return 0;
    const { pages, hashes, marks, sums, bytes } = part;
    const giveBack = (): void => void this.#rooms.push(bytes.buffer as ArrayBuffer);
    let staged: Promise<StagedBytes | undefined> = Promise.resolve(undefined);
    const mark = isStaged ? markOf(bytes, this.headBytes) : 0n;
    if (isStaged) staged = this.#stage(bytes, giveBack);
    else giveBack();
    this.#taken.push({ at: this.#count, pages, hashes, marks, sums, staged, mark });
    this.#count += pages.length;
    return pages.length;
  }

  /** Undefined: it cannot be staged; its pages are read again when they are put. */
  #stage(bytes: Uint8Array, giveBack: () => void): Promise<StagedBytes | undefined> {
    const staged = this.#options.stage.stage(bytes).then(
      (done) => {
        giveBack();
        return done;
      },
      () => undefined,
    );
    this.#inFlight.add(staged);
    const forget = (): void => void this.#inFlight.delete(staged);
    staged.then(forget, forget);
    return staged;
  }

  #log(walFd: number): FrameLog {
    const { salt1, salt2 } = this.#generation;
    return { walFd, pageSize: this.#options.pageSize, salt1, salt2 };
  }

  /** Proves the frames up to `count`; false when they do not continue the chain. */
  async #prove(count: number): Promise<boolean> {
    const { thread, files, base } = this.#options;
    for (const { at, pages, marks, sums } of this.#taken) {
      if (at + pages.length <= this.#proved) continue;
      if (this.#proved >= count) break;
      const [from, end] = [this.#proved - at, Math.min(pages.length, count - at)];
      const proved = await thread.prove({
        ...this.#log(files.walFd),
        first: base.mxFrame + 1 + this.#proved,
        taken: { pages: pages.slice(from, end), marks: marks.slice(from, end), sums: sums.slice(from * 2, end * 2) },
        ...this.#sum,
      });
      if (proved === undefined) return false;
      for (const { at: i, page, hash } of proved.changed) this.#changed.set(this.#proved + i, { page, hash });
      this.#proved = at + end;
      this.#sum = { s1: proved.s1, s2: proved.s2 };
      this.#commitPageCount = proved.commitPageCount;
    }
    return true;
  }
}

/** The changes of a commit that was read ahead, proved. Undefined: it was not, or it must be read otherwise. */
export async function changesReadAhead(
  database: TrackedDatabase,
  to: WalIndex,
  budget: EventLoopBudget,
): Promise<Changes | undefined> {
  const { ahead } = database;
  const pages = ahead?.isOf(database.captured) === true ? await ahead.settle(to, budget) : undefined;
  if (ahead === undefined || pages === undefined) return undefined;
  const { frames, hashes, staged, rest } = pages;
  return {
    database,
    to,
    pageCount: to.pageCount,
    frames: rest,
    located: frames,
    contents: undefined,
    hashes,
    staged: { parts: staged, headBytes: ahead.headBytes },
  };
}
