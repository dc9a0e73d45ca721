/**
 * The frames of a giant transaction, read once and in order: each is proved by the log's chain of checksums, hashed and
 * handed out as part of a flush while the parts before it are being put. The captured state follows only when the last
 * one fits.
 *
 * A flush says how many parts it has and which pages, and both follow from where each page was written last. `plan`
 * finds that first, from the heads of the frames. It is believed of no byte: what is handed out is proved and hashed in
 * the same pass, in the same memory, and a frame that is not the one of the plan ends the collection.
 *
 * Why parts may be put before the last frame is proved. Committed frames behind the pin do not change, so it fits
 * unless something else than SQLite writes into the log. Then the term ends here, before the last part is put, and the
 * parts before it are dropped at the next claim: no client was told of them.
 *
 * How one would try to lose a write: by taking the captured state for further than what was read (it moves in
 * `verifyEnd` only, in one turn), by letting the pin move meanwhile (the batch holds it), or by a page that is left out
 * (each frame is the last of its page, or the plan has a later one, which is asked for in its turn).
 *
 * Attacked in test/capture/frame-stream.test.ts: "the captured state advances with the last part", "checkpoints of the
 * application, further commits and rollbacks", "pages that one transaction writes again and again are put once".
 */
import { lostContinuity } from "./capture-error.ts";
import { readChunkBytes } from "./limits.ts";
import { hashPage } from "./page-hashes.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import { frameBytes, frameHeaderBytes, frameOffset, takeFrame, type WalChecksum } from "./wal-frames.ts";
import { type FrameRange, generationSeed, readFully } from "./wal-reader.ts";

/** Page -> the last frame that wrote it, of pages within the size after the commit. */
export type FramePlan = ReadonlyMap<number, number>;

/** Where the pages of the range are, by the heads of its frames. Throws `CaptureError` (continuity). */
export async function planFrames(range: FrameRange, budget: EventLoopBudget): Promise<Map<number, number>> {
  const { from, to } = range;
  const plan = new Map<number, number>();
  const size = frameBytes(to.pageSize);
  const perChunk = Math.max(1, Math.floor(readChunkBytes / size));
  const bytes = new Uint8Array(perChunk * size);
  const head = new DataView(bytes.buffer);
  for (let frame = from.mxFrame + 1; frame <= to.mxFrame; frame += perChunk) {
    const count = Math.min(perChunk, to.mxFrame - frame + 1);
    readWhole(range, frame, bytes.subarray(0, count * size));
    for (let i = 0; i < count; i++) {
      const page = head.getUint32(i * size);
      if (head.getUint32(i * size + 8) !== to.salt1 || head.getUint32(i * size + 12) !== to.salt2 || page === 0)
        throw foreignFrame(range, frame + i);
      if (page <= to.pageCount) plan.set(page, frame + i);
    }
    await budget.yieldIfDue();
  }
  return plan;
}

export class FrameStream {
  /** In the order in which `take` gives them. */
  readonly pages: readonly number[];
  readonly #range: FrameRange;
  readonly #plan: FramePlan;
  readonly #onProved: (hashes: ReadonlyMap<number, Uint8Array>) => void;
  readonly #hashes = new Map<number, Uint8Array>();
  #sum: WalChecksum;
  #commitPageCount = 0;
  /** The next frame, and what was read from it on. */
  #frame: number;
  #bytes = new Uint8Array(0);
  #offset = 0;
  #isProved = false;

  /** `onProved` hears once, when every frame fitted, of the hashes of all pages. */
  constructor(range: FrameRange, plan: FramePlan, onProved: (hashes: ReadonlyMap<number, Uint8Array>) => void) {
    this.#range = range;
    this.#plan = plan;
    this.#onProved = onProved;
    this.pages = [...plan].sort(([, a], [, b]) => a - b).map(([page]) => page);
    this.#frame = range.from.mxFrame + 1;
    this.#sum = this.#seed();
  }

  /**
   * Contents of pages that follow each other in `pages`, after those that were taken before, or from the first one
   * again. Throws `CaptureError` (continuity).
   */
  take(pages: readonly number[]): Uint8Array[] {
    if (pages[0] === this.pages[0]) this.#rewind();
    return pages.map((page) => this.#takePage(page));
  }

  /**
   * After the last page: the frames behind it, and whether they end where the index says. Throws `CaptureError`
   * (continuity).
   */
  verifyEnd(): void {
    const { name, to } = this.#range;
    while (this.#frame <= to.mxFrame) if (this.#next() !== undefined) throw foreignFrame(this.#range, this.#frame - 1);
    if (this.#sum.s1 !== to.checksum1 || this.#sum.s2 !== to.checksum2 || this.#commitPageCount !== to.pageCount) {
      throw lostContinuity(
        name,
        `a last frame ${to.mxFrame} that is not the one in the index`,
        "frames up to the end that the index names",
      );
    }
    if (this.#isProved) return;
    if (this.#hashes.size !== this.#plan.size) throw new Error("pages of a collection were left out");
    this.#isProved = true;
    this.#onProved(this.#hashes);
  }

  #takePage(page: number): Uint8Array {
    while (this.#frame <= this.#range.to.mxFrame) {
      const last = this.#next();
      if (last?.page === page) {
        const hash = hashPage(page, last.content);
        const before = this.#hashes.get(page);
        if (before !== undefined && Buffer.compare(before, hash) !== 0)
          throw foreignFrame(this.#range, this.#frame - 1);
        this.#hashes.set(page, hash);
        return last.content;
      }
      if (last !== undefined) throw foreignFrame(this.#range, this.#frame - 1);
    }
    throw lostContinuity(
      this.#range.name,
      `no frame of page ${page} where one was`,
      "committed frames that stay unchanged",
    );
  }

  /** Proves the next frame; its page, when no later frame writes it. */
  #next(): { readonly page: number; readonly content: Uint8Array } | undefined {
    const { to } = this.#range;
    if (this.#offset === this.#bytes.byteLength) this.#read();
    const header = takeFrame(this.#bytes, this.#offset, to, this.#sum);
    if (header === undefined) throw foreignFrame(this.#range, this.#frame);
    const start = this.#offset + frameHeaderBytes;
    const frame = this.#frame;
    this.#offset += frameBytes(to.pageSize);
    this.#frame += 1;
    this.#commitPageCount = header.commitPageCount;
    const last = this.#plan.get(header.page);
    if (last === undefined ? header.page <= to.pageCount : last < frame) throw foreignFrame(this.#range, frame);
    return last === frame
      ? { page: header.page, content: this.#bytes.subarray(start, start + to.pageSize) }
      : undefined;
  }

  /** Contents are handed out as views, so each chunk is memory of its own. */
  #read(): void {
    const { to } = this.#range;
    const size = frameBytes(to.pageSize);
    const count = Math.min(Math.max(1, Math.floor(readChunkBytes / size)), to.mxFrame - this.#frame + 1);
    this.#bytes = new Uint8Array(count * size);
    this.#offset = 0;
    readWhole(this.#range, this.#frame, this.#bytes);
  }

  #rewind(): void {
    this.#frame = this.#range.from.mxFrame + 1;
    this.#sum = this.#seed();
    this.#bytes = new Uint8Array(0);
    this.#offset = 0;
  }

  #seed(): WalChecksum {
    const { from } = this.#range;
    return from.mxFrame === 0 ? generationSeed(this.#range) : { s1: from.checksum1, s2: from.checksum2 };
  }
}

function readWhole({ name, walFd, to }: FrameRange, frame: number, bytes: Uint8Array): void {
  if (readFully(walFd, bytes, frameOffset(frame, to.pageSize)) < bytes.byteLength)
    throw lostContinuity(name, `a write-ahead log that ends before frame ${to.mxFrame}`, "every committed frame");
}

const foreignFrame = ({ name }: FrameRange, frame: number): Error =>
  lostContinuity(
    name,
    `frame ${frame} of another generation, with a wrong checksum or of another page`,
    "the frames that follow the captured ones",
  );
