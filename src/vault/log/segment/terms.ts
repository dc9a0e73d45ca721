/**
 * The terms that the log consists of, as claims and seals tell (segment-log.ts has the argument).
 *
 * A seal alone proves nothing: a later claimant that read before it was there has sealed without it. What follows it
 * proves it: a mark of its term, which its owner writes when it knows; a segment of its term, which only an owner that
 * knows creates; or a later seal that counts and names it. The newest seal with such a proof is the top, and each seal
 * names the term before it that applies. Terms that no seal names came to nothing.
 */
import { CorruptRecordError } from "../../errors.ts";
import type { Position } from "../../record.ts";
import type { SegmentFiles } from "../../store/segment-files.ts";
import type { Store } from "../../store/store.ts";
import { decodeSeal, type Seal } from "./seal.ts";
import {
  claimKey,
  claimPrefix,
  markKey,
  parseSegmentKey,
  sealKey,
  sealPrefix,
  segmentPrefix,
  termsOf,
} from "./segment-key.ts";

export interface LogTerm {
  readonly number: number;
  /** Position of its `epoch` record. */
  readonly start: Position;
  readonly epoch: Uint8Array;
  /** Position of its last record; undefined: it is the last term, and may grow. */
  readonly end: Position | undefined;
  /** A seal has a copy of this entry, which may not be durable in its segment. */
  readonly carried: { readonly position: Position; readonly seal: number } | undefined;
}

/** The log as far as it is settled. Empty terms: no record. */
export interface Chain {
  readonly terms: readonly LogTerm[];
  /** The last term counts at least up to here. */
  readonly settled: Position;
  /** The newest claim that this knows of, and whose seal is the top. */
  readonly top: number;
}

type SealOutline = Pick<Seal, "before" | "epoch"> & { readonly carries: boolean };

const emptyChain: Chain = { terms: [], settled: 0, top: 0 };

export class Terms {
  readonly #store: Store;
  readonly #files: SegmentFiles;
  /** Seals do not change. Without the entries that they carry, which are large. */
  readonly #outlines = new Map<number, SealOutline>();
  #chain: Chain = emptyChain;

  constructor(store: Store, files: SegmentFiles) {
    this.#store = store;
    this.#files = files;
  }

  /** Looks for later claims, and returns the log as far as it is settled. Throws StoreError, CorruptRecordError. */
  async settled(): Promise<Chain> {
    if ((await this.#store.get(claimKey(this.#chain.top + 1))) === undefined) return this.#chain;
    const seals = await this.sealed();
    for (const number of seals.toReversed()) {
      if (number <= this.#chain.top) break;
      if (!(await this.#isProved(number))) continue;
      const chain = await this.through(number);
      // Several may look at the same time, and the later answer may be the older one.
      if (chain.top > this.#chain.top) this.#chain = chain;
      break;
    }
    return this.#chain;
  }

  /** Returns the chain that a seal ends, whether or not it counts; 0: the empty one. */
  async through(number: number): Promise<Chain> {
    if (number === 0) return emptyChain;
    const { before, epoch, carries } = await this.#outline(number);
    const carried = carries ? { position: before.end, seal: number } : undefined;
    if (epoch === undefined)
      return { terms: await this.#termsUpTo(before.term, undefined, carried), settled: before.end, top: number };
    const terms = [
      ...(await this.#termsUpTo(before.term, before.end, carried)),
      { number, start: before.end + 1, epoch, end: undefined, carried: undefined },
    ];
    return { terms, settled: before.end + 1, top: number };
  }

  /** Returns the numbers of all claims, ascending. */
  async claimed(): Promise<number[]> {
    return termsOf(claimPrefix, await this.#store.list(claimPrefix));
  }

  /** Returns the numbers of all seals, ascending. */
  async sealed(): Promise<number[]> {
    return termsOf(sealPrefix, await this.#store.list(sealPrefix));
  }

  /** Undefined: there is none. Throws StoreError, CorruptRecordError. */
  async seal(number: number): Promise<Seal | undefined> {
    const bytes = await this.#store.get(sealKey(number));
    return bytes === undefined ? undefined : decodeSeal(sealKey(number), bytes);
  }

  async #outline(number: number): Promise<SealOutline> {
    const known = this.#outlines.get(number);
    if (known !== undefined) return known;
    const seal = await this.seal(number);
    if (seal === undefined) throw missing(number);
    if (seal.before.term >= number)
      throw new CorruptRecordError(
        0,
        sealKey(number),
        `a seal that follows term ${seal.before.term}`,
        "an earlier one",
      );
    const outline = { before: seal.before, epoch: seal.epoch, carries: seal.last !== undefined };
    this.#outlines.set(number, outline);
    return outline;
  }

  async #termsUpTo(number: number, end: Position | undefined, carried: LogTerm["carried"]): Promise<LogTerm[]> {
    const terms: LogTerm[] = [];
    for (let [at, until, copy] = [number, end, carried]; at !== 0; ) {
      const { before, epoch, carries } = await this.#outline(at);
      if (epoch === undefined) throw missing(at);
      terms.unshift({ number: at, start: before.end + 1, epoch, end: until, carried: copy });
      copy = carries ? { position: before.end, seal: at } : undefined;
      [at, until] = [before.term, before.end];
    }
    return terms;
  }

  async #isProved(number: number): Promise<boolean> {
    if ((await this.#files.readMark(markKey(number))) !== undefined) return true;
    return (await this.#store.list(segmentPrefix)).some((key) => parseSegmentKey(key)?.term === number);
  }
}

const missing = (number: number): CorruptRecordError =>
  new CorruptRecordError(0, sealKey(number), "no seal of a claim that took over", "the seal that a later one names");
