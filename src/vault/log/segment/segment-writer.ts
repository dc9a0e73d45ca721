/**
 * The writing side of a segment log: claims, and appends to the term that it owns. segment-log.ts has the argument.
 *
 * One put at a time. A put whose outcome is not known is repeated with the same bytes (R3), and is then decided by what
 * has become of the claim that it met.
 */
import type { Rules } from "../../../core/rules.ts";
import type { Clock } from "../../../runtime/clock.ts";
import type { Random } from "../../../runtime/random.ts";
import type { Position } from "../../record.ts";
import { storeErrorOf } from "../../store/fs-error.ts";
import type { SegmentFiles } from "../../store/segment-files.ts";
import { type PutOutcome, type StagedPut, type Store, StoreError } from "../../store/store.ts";
import { encodeEntry, type EntryKind, sealTag } from "./segment-entry.ts";
import { encodeSeal, type Seal } from "./seal.ts";
import { claimKey, largeKey, markKey, sealKey, segmentKey, type SegmentName } from "./segment-key.ts";
import type { TermRecords } from "./term-records.ts";
import type { Chain, LogTerm, Terms } from "./terms.ts";

export interface SegmentSizes {
  /** Of the first segment of a term, bytes; each next one has four times as many, up to `most`. */
  readonly first: number;
  readonly most: number;
  /** A larger record is an object of its own. */
  readonly recordMost: number;
}

export const usualSizes: SegmentSizes = {
  first: 256 * 1024,
  most: 16 * 1024 * 1024,
  recordMost: 256 * 1024,
};

/** How long a claim may stay without a seal before another claim ends it. A claimant needs some milliseconds. */
const unsealedMsMax = 1_000;
const unsealedPauseMs = 2;

export interface SegmentWriterOptions {
  readonly store: Store;
  readonly files: SegmentFiles;
  readonly terms: Terms;
  readonly records: TermRecords;
  readonly clock: Clock;
  readonly random: Random;
  readonly sizes: SegmentSizes;
  readonly rules: Rules;
  readonly isClaim: (bytes: Uint8Array) => boolean;
}

/** The term that this process owns. */
interface Owned {
  readonly term: number;
  /** Its last record that counts. */
  tail: Position;
  /** The claim that would end it: those before came to nothing. */
  rival: number;
  segment: { readonly name: SegmentName; offset: number; readonly bytes: number } | undefined;
  segments: number;
  /** An append failed at this position, or met a claim: it is durable if `isSynced`. */
  pending: { readonly position: Position; readonly isSynced: boolean } | undefined;
}

/** A claim of this process that has no seal yet. */
interface OpenClaim {
  readonly number: number;
  readonly content: Uint8Array;
  /** This may have been put: nothing else can be any more. */
  seal: Seal | undefined;
}

export class SegmentWriter {
  readonly #options: SegmentWriterOptions;
  #owned: Owned | undefined;
  #claim: OpenClaim | undefined;
  /** Claims of this process: none of them is waited for. */
  readonly #own = new Set<number>();
  /** When claims without a seal were seen first. */
  readonly #unsealed = new Map<number, number>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SegmentWriterOptions) {
    this.#options = options;
  }

  /** The last position of a term that counts, if this process owns it. */
  tailOf(term: LogTerm): Position {
    return this.#owned?.term === term.number ? this.#owned.tail : 0;
  }

  /** Returns the key of the object that a record of this size gets if it is put next. */
  objectKeyOf(position: Position, bytes: Uint8Array): string | undefined {
    return this.#owned === undefined || bytes.length <= this.#options.sizes.recordMost
      ? undefined
      : largeKey(this.#owned.term, position);
  }

  prepare(position: Position, bytes: Uint8Array, ahead?: StagedPut): void {
    const key = this.objectKeyOf(position, bytes);
    if (key !== undefined) this.#options.store.prepare(key, bytes, ahead);
  }

  put(position: Position, bytes: Uint8Array): Promise<PutOutcome> {
    const put = this.#last.then(() =>
      this.#options.isClaim(bytes) ? this.#putClaim(position, bytes) : this.#putNext(position, bytes),
    );
    this.#last = put.catch(() => undefined);
    return put;
  }

  /**
   * Lets a claim that comes to nothing read the log to its end, if more may be there than is known to count: its seal
   * tells all readers.
   */
  decideEnd(): Promise<boolean> {
    const decided = this.#last.then(() => this.#decideEnd());
    this.#last = decided.catch(() => undefined);
    return decided;
  }

  async #decideEnd(): Promise<boolean> {
    const { terms, records, clock } = this.#options;
    for (let isMore = false; ; isMore = true) {
      const chain = await terms.settled();
      const [last, newest] = [chain.terms.at(-1), (await terms.claimed()).at(-1) ?? 0];
      const isLonger = last !== undefined && (await records.written(last)) > (await this.#lastIn(chain));
      if (!isLonger && newest <= chain.top) return isMore;
      if (!(await this.#voidUnsealed(chain))) await clock.sleep(unsealedPauseMs);
    }
  }

  /** Resolves when the put in progress has ended. */
  async close(): Promise<void> {
    await this.#last;
  }

  async #putNext(position: Position, bytes: Uint8Array): Promise<PutOutcome> {
    const owned = this.#owned;
    if (owned !== undefined && position === owned.tail + 1) return this.#append(owned, position, bytes);
    if ((await this.#lastIn(await this.#options.terms.settled())) >= position) return { kind: "exists" };
    throw new StoreError(
      "unsuitable",
      `position ${position} of the log is free, and this process does not own its last term`,
      "The log has lost records, or belongs to another vault: run `stead vault verify`.",
    );
  }

  async #append(owned: Owned, position: Position, bytes: Uint8Array): Promise<PutOutcome> {
    if (owned.pending?.isSynced === true) return this.#decide(owned, position);
    const { key, content, kind } = await this.#contentOf(owned, position, bytes);
    const entry = encodeEntry(kind, position, content, await this.#options.records.tagOf(owned.term));
    const segment = await this.#segmentFor(owned, entry.length);
    const outcome = await this.#options.files.append({
      key: segmentKey(segment.name),
      offset: segment.offset,
      bytes: entry,
      rival: claimKey(owned.rival),
      mark: { key: markKey(owned.term), position },
    });
    switch (outcome.kind) {
      case "counts":
        segment.offset += entry.length;
        owned.tail = position;
        // A failed attempt may have made it visible before.
        return this.#done(owned, owned.pending === undefined ? "created" : "exists");
      case "rival":
        segment.offset += entry.length;
        owned.pending = { position, isSynced: true };
        return this.#decide(owned, position);
      case "failed":
        owned.pending = { position, isSynced: !outcome.isFileLost };
        if (outcome.isFileLost && this.#options.rules.has("segment-failed-file-left")) owned.segment = undefined;
        if (!outcome.isFileLost) segment.offset += entry.length;
        throw asAmbiguous(storeErrorOf(outcome.error, `cannot append ${key ?? `record ${position}`}`, "visible"));
    }
  }

  #done(owned: Owned, kind: PutOutcome["kind"]): PutOutcome {
    owned.pending = undefined;
    return { kind };
  }

  /** A record that is too large for a segment is an object, durable before the entry that names it. */
  async #contentOf(
    owned: Owned,
    position: Position,
    bytes: Uint8Array,
  ): Promise<{ readonly key: string | undefined; readonly kind: EntryKind; readonly content: Uint8Array }> {
    const key = this.objectKeyOf(position, bytes);
    if (key === undefined) return { key, kind: "record", content: bytes };
    await this.#options.store.putIfAbsent(largeKey(owned.term, position), bytes);
    return { key, kind: "object", content: Buffer.from(key) };
  }

  async #segmentFor(owned: Owned, bytes: number): Promise<NonNullable<Owned["segment"]>> {
    const { segment } = owned;
    if (segment !== undefined && segment.offset + bytes <= segment.bytes) return segment;
    const { first, most } = this.#options.sizes;
    const size = Math.max(bytes, Math.min(most, first * 4 ** Math.min(owned.segments, 16)));
    const name: SegmentName = { term: owned.term, first: owned.tail + 1, attempt: owned.segments };
    await this.#options.files.create(segmentKey(name), size);
    owned.segments += 1;
    owned.segment = { name, offset: 0, bytes: size };
    this.#options.files.prepare(Math.min(most, size * 4));
    return owned.segment;
  }

  /**
   * Decides a record that is durable, while a claim is there. Throws StoreError `ambiguous` as long as it is not known
   * what becomes of the claim.
   */
  async #decide(owned: Owned, position: Position): Promise<PutOutcome> {
    try {
      for (;;) {
        const outcome = await this.#decideNow(owned, position);
        if (outcome !== undefined) return outcome;
      }
    } catch (error) {
      throw asAmbiguous(error);
    }
  }

  async #decideNow(owned: Owned, position: Position): Promise<PutOutcome | undefined> {
    const { terms, store, files } = this.#options;
    const chain = await terms.settled();
    const term = chain.terms.find(({ number }) => number === owned.term);
    if (term?.end !== undefined || (term === undefined && chain.top > owned.term)) {
      this.#owned = undefined;
      return { kind: "exists" };
    }
    owned.rival = Math.max(owned.rival, chain.top + 1);
    const isFree = (await store.get(claimKey(owned.rival))) === undefined;
    if (isFree || chain.settled >= position) {
      owned.tail = position;
      await files.mark(markKey(owned.term), position).catch(() => undefined);
      return this.#done(owned, "exists");
    }
    if (this.#isPatientWith(owned.rival))
      throw new StoreError("ambiguous", "another host is taking over", "It is decided within a second.");
    await this.#voidUnsealed(chain);
    return undefined;
  }

  /** Once a seal holds the record, readers may see it: a failure after that does not say that nothing was done. */
  async #putClaim(position: Position, bytes: Uint8Array): Promise<PutOutcome> {
    try {
      return await this.#takeOver(position, bytes);
    } catch (error) {
      throw asAmbiguous(error);
    }
  }

  async #takeOver(position: Position, bytes: Uint8Array): Promise<PutOutcome> {
    const { terms, clock } = this.#options;
    for (let isAgain = this.#claim?.seal !== undefined; ; ) {
      const chain = await terms.settled();
      if ((await this.#lastIn(chain)) >= position) {
        this.#adopt(chain);
        return { kind: "exists" };
      }
      const early = await this.#sealBeforeClaim(position, bytes);
      const claim = await this.#openClaim(chain, bytes);
      if (claim === undefined) {
        await clock.sleep(unsealedPauseMs);
        continue;
      }
      claim.seal ??= early ?? (await this.#sealAfter(claim, { position, bytes }));
      const { seal } = claim;
      const isCounting = await this.#seal(claim.number, seal);
      // A seal of an earlier attempt may have been seen before this one began.
      if (isCounting && seal.epoch !== undefined) return { kind: isAgain ? "exists" : "created" };
      isAgain = true;
      if (isCounting && seal.before.end < position - 1)
        throw new StoreError(
          "unsuitable",
          `the log ends at ${seal.before.end}, and this host has read it up to ${position - 1}`,
          "The log has lost records, or belongs to another vault: run `stead vault verify`.",
        );
    }
  }

  /** The mutant reads the end of the log, and then creates its claim. */
  async #sealBeforeClaim(position: Position, bytes: Uint8Array): Promise<Seal | undefined> {
    if (this.#options.rules.has("segment-claim-before-end")) return undefined;
    return this.#sealAfter({ number: Infinity, content: bytes, seal: undefined }, { position, bytes });
  }

  /** Ends a claim without a seal, by one that comes to nothing. Returns false if another host's may not be over. */
  async #voidUnsealed(chain: Chain): Promise<boolean> {
    const claim = await this.#openClaim(chain, undefined);
    if (claim === undefined) return false;
    claim.seal ??= await this.#sealAfter(claim, undefined);
    await this.#seal(claim.number, claim.seal);
    return true;
  }

  /**
   * Takes the next number, unless a claim of another host may still be sealed: undefined then. From its creation on, no
   * term before acknowledges anything, so what is read afterwards is all that was acknowledged.
   */
  async #openClaim(chain: Chain, epoch: Uint8Array | undefined): Promise<OpenClaim | undefined> {
    const { terms, store, random } = this.#options;
    let claim = this.#claim;
    const isOver = claim !== undefined && claim.number <= chain.top;
    if (isOver || (claim?.seal !== undefined && !isSame(claim.seal.epoch, epoch))) claim = this.#claim = undefined;
    if (claim === undefined) {
      const newest = (await terms.claimed()).at(-1) ?? 0;
      if (newest > chain.top && !this.#own.has(newest) && this.#isPatientWith(newest)) return undefined;
      if (newest > chain.top && this.#options.rules.has("segment-no-gap")) await this.#keepClaim(newest);
      claim = { number: newest + 1, content: random.bytes(16), seal: undefined };
      this.#claim = claim;
      this.#own.add(claim.number);
    }
    const outcome = await store.putIfAbsent(claimKey(claim.number), claim.content);
    if (outcome.kind === "created") return claim;
    const found = await store.get(claimKey(claim.number));
    if (isSame(found, claim.content)) return claim;
    this.#own.delete(claim.number);
    this.#claim = undefined;
    return undefined;
  }

  /**
   * Makes another host's claim durable, which it may not be yet. Otherwise a power failure could leave a gap before the
   * next one, and the owner that looks for this one would find neither.
   */
  async #keepClaim(number: number): Promise<void> {
    const { store } = this.#options;
    const content = await store.get(claimKey(number));
    if (content === undefined)
      throw new StoreError("unavailable", `claim ${number} is gone`, "It is looked for again.");
    await store.putIfAbsent(claimKey(number), content);
  }

  /**
   * Returns the seal of a claim: reads where the log ends, and takes over if the record is the next one. The newest
   * seal before, on which this one builds, is made durable first: its owner may have died before it was.
   */
  async #sealAfter(
    claim: OpenClaim,
    epoch: { readonly position: Position; readonly bytes: Uint8Array } | undefined,
  ): Promise<Seal> {
    const { terms, records, store, rules } = this.#options;
    const number = (await terms.sealed()).findLast((sealed) => sealed < claim.number) ?? 0;
    const base = await terms.seal(number);
    if (base !== undefined) await store.putIfAbsent(sealKey(number), encodeSeal(base));
    else if (number > 0) throw new StoreError("unavailable", `seal ${number} is gone`, "It is looked for again.");
    const term = (await terms.through(number)).terms.at(-1);
    const end = term === undefined ? 0 : await records.written(term);
    const isCarried = term !== undefined && end > term.start && rules.has("segment-carried-record");
    const last = isCarried ? await this.#entryOf(term, end) : undefined;
    const isNext = epoch !== undefined && end === epoch.position - 1;
    return { before: { term: term?.number ?? 0, end }, last, epoch: isNext ? epoch.bytes.slice() : undefined };
  }

  async #entryOf(term: LogTerm, position: Position): Promise<Uint8Array> {
    const entry = await this.#options.records.get(term, position);
    if (entry?.header !== undefined) return encodeEntry(entry.header.kind, position, entry.content, sealTag);
    throw new StoreError("unavailable", `the last record, ${position}, cannot be read`, "It is read again.");
  }

  /**
   * Puts the seal, and then looks for a later claim: without one it counts, and this is told. From the put on it may
   * have taken effect, whatever fails.
   */
  async #seal(claim: number, seal: Seal): Promise<boolean> {
    const { store, files, rules } = this.#options;
    const position = seal.epoch === undefined ? seal.before.end : seal.before.end + 1;
    try {
      await store.putIfAbsent(sealKey(claim), encodeSeal(seal));
      const isLast = !rules.has("segment-seal-counts") || (await store.get(claimKey(claim + 1))) === undefined;
      const marked = isLast ? files.mark(markKey(claim), position) : undefined;
      // Readers see an `epoch` record without a mark as soon as another record follows.
      await (seal.epoch === undefined ? marked : marked?.catch(() => undefined));
      this.#claim = undefined;
      if (!isLast) return false;
    } catch (error) {
      throw asAmbiguous(error);
    }
    if (seal.epoch !== undefined) this.#takeTerm(claim, position, claim + 1);
    return true;
  }

  /** Another host's claim has ended this process's, and kept its `epoch` record. */
  #adopt({ terms, settled, top }: Chain): void {
    const last = terms.at(-1);
    if (last !== undefined && last.number !== this.#owned?.term && this.#own.has(last.number))
      this.#takeTerm(last.number, settled, top + 1);
  }

  #takeTerm(term: number, tail: Position, rival: number): void {
    this.#owned = { term, tail, rival, segment: undefined, segments: 0, pending: undefined };
  }

  #isPatientWith(number: number): boolean {
    const now = this.#options.clock.now();
    const since = this.#unsealed.get(number) ?? now;
    this.#unsealed.set(number, since);
    return now - since < unsealedMsMax;
  }

  async #lastIn(chain: Chain): Promise<Position> {
    const last = chain.terms.at(-1);
    if (last === undefined) return 0;
    return Math.max(chain.settled, await this.#options.records.counted(last), this.tailOf(last));
  }
}

/** The operation may have taken effect. */
const asAmbiguous = (error: unknown): unknown =>
  error instanceof StoreError && error.kind !== "unsuitable"
    ? new StoreError("ambiguous", error.message, error.advice, { cause: error })
    : error;

const isSame = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
