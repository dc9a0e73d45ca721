/**
 * The writing side of a segment log: takes terms over (segment-claims.ts), and appends to the one that it owns.
 * segment-log.ts has the argument.
 *
 * One put at a time. A put whose outcome is not known is repeated with the same bytes (R3), and is then decided by what
 * has become of the claim that it met.
 */
import type { Position } from "../../record.ts";
import { storeErrorOf } from "../../store/fs-error.ts";
import { type PutOutcome, type StagedPut, StoreError } from "../../store/store.ts";
import { asAmbiguous, Claims, type ClaimsOptions, LogTakenError } from "./segment-claims.ts";
import { entryBytes, type EntryKind, entryParts } from "./segment-entry.ts";
import { claimKey, largeKey, markKey, segmentKey, type SegmentName } from "./segment-key.ts";
import type { Chain, LogTerm } from "./terms.ts";

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
  recordMost: 1024 * 1024,
};

/** Files of one owner of a term: those of one that took the whole log have other names than those before, and apply. */
const attemptsPerClaim = 1_000_000;

/** While another host's claim may still get its seal. */
const unsealedPauseMs = 2;

export interface SegmentWriterOptions extends ClaimsOptions {
  readonly sizes: SegmentSizes;
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
  /** Larger than those of every owner before of the same term. */
  readonly firstAttempt: number;
  /** An append failed at this position, or met a claim: it is durable if `isSynced`. */
  pending: { readonly position: Position; readonly isSynced: boolean } | undefined;
}

const newlyOwned = (term: number, tail: Position, rival: number, firstAttempt: number): Owned => ({
  ...{ term, tail, rival, firstAttempt },
  ...{ segment: undefined, segments: 0, pending: undefined },
});

export class SegmentWriter {
  readonly #options: SegmentWriterOptions;
  #owned: Owned | undefined;
  readonly #claims: Claims;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: SegmentWriterOptions) {
    this.#options = options;
    this.#claims = new Claims(options);
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

  /**
   * Takes the whole log: afterwards this process owns its last term, and appends for all hosts. segment-log.ts has the
   * argument. Throws StoreError.
   */
  takeAll(): Promise<void> {
    const taken = this.#last.then(() => this.#takeAll());
    this.#last = taken.catch(() => undefined);
    return taken;
  }

  async #takeAll(): Promise<void> {
    const { terms, clock } = this.#options;
    for (;;) {
      const number = await this.#claims.takeAll(await terms.settled());
      if (number === undefined) {
        await clock.sleep(unsealedPauseMs);
        continue;
      }
      const { terms: all, settled } = await terms.through(number);
      const last = all.at(-1);
      if (last === undefined) return;
      const owned = newlyOwned(last.number, settled, number + 1, number * attemptsPerClaim);
      // Before anything else: from here on, what an owner before writes behind the end is in files that do not apply.
      await this.#beginSegment(owned, 0);
      this.#owned = owned;
      return;
    }
  }

  async #decideEnd(): Promise<boolean> {
    const { terms, records, clock } = this.#options;
    for (let isMore = false; ; isMore = true) {
      const chain = await terms.settled();
      const [last, newest] = [chain.terms.at(-1), (await terms.claimed()).at(-1) ?? 0];
      const isLonger = last !== undefined && (await records.written(last)) > (await this.#lastIn(chain));
      if (!isLonger && newest <= chain.top) return isMore;
      if (!(await this.#claims.voidUnsealed(chain))) await clock.sleep(unsealedPauseMs);
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
    const length = entryBytes(content.length);
    const segment = await this.#segmentFor(owned, length);
    const tag = await this.#options.records.tagOf(owned.term);
    const outcome = await this.#options.files.append({
      key: segmentKey(segment.name),
      offset: segment.offset,
      parts: entryParts(kind, position, content, tag),
      rival: claimKey(owned.rival),
      mark: { key: markKey(owned.term), position },
    });
    switch (outcome.kind) {
      case "counts":
        segment.offset += length;
        owned.tail = position;
        // A failed attempt may have made it visible before.
        return this.#done(owned, owned.pending === undefined ? "created" : "exists");
      case "rival":
        segment.offset += length;
        owned.pending = { position, isSynced: true };
        return this.#decide(owned, position);
      case "failed":
        owned.pending = { position, isSynced: !outcome.isFileLost };
        if (outcome.isFileLost && this.#options.rules.has("segment-failed-file-left")) owned.segment = undefined;
        if (!outcome.isFileLost) segment.offset += length;
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
    return this.#beginSegment(owned, bytes);
  }

  async #beginSegment(owned: Owned, bytes: number): Promise<NonNullable<Owned["segment"]>> {
    const { first, most } = this.#options.sizes;
    const size = Math.max(bytes, Math.min(most, first * 4 ** Math.min(owned.segments, 16)));
    const name: SegmentName = { term: owned.term, first: owned.tail + 1, attempt: owned.firstAttempt + owned.segments };
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
    await this.#assertNotTaken(owned.rival);
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
    if (this.#claims.isPatientWith(owned.rival, chain.top))
      throw new StoreError("ambiguous", "another host is taking over", "It is decided within a second.");
    await this.#claims.voidUnsealed(chain);
    return undefined;
  }

  /** Throws LogTakenError, and owns nothing then. */
  async #assertNotTaken(from?: number): Promise<void> {
    try {
      await this.#claims.assertNotTaken(from);
    } catch (error) {
      if (error instanceof LogTakenError) this.#owned = undefined;
      throw error;
    }
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
    for (let isAgain = this.#claims.mayBeSealed; ; ) {
      const chain = await terms.settled();
      if ((await this.#lastIn(chain)) >= position) {
        await this.#adopt(chain);
        return { kind: "exists" };
      }
      if (this.#claims.hasAll) await this.#assertNotTaken();
      const early = await this.#claims.sealBeforeClaim({ position, bytes });
      const claim = await this.#claims.open(chain, bytes);
      if (claim === undefined) {
        await clock.sleep(unsealedPauseMs);
        continue;
      }
      const { seal, counts } = await this.#claims.seal(claim, { position, bytes }, early);
      if (counts && seal.epoch !== undefined) {
        this.#takeTerm(claim.number, position, claim.number + 1);
        // A seal of an earlier attempt may have been seen before this one began.
        return { kind: isAgain ? "exists" : "created" };
      }
      isAgain = true;
      if (counts && seal.before.end < position - 1)
        throw new StoreError(
          "unsuitable",
          `the log ends at ${seal.before.end}, and this host has read it up to ${position - 1}`,
          "The log has lost records, or belongs to another vault: run `stead vault verify`.",
        );
    }
  }

  /** Another host's claim has ended this process's, and kept its `epoch` record. */
  async #adopt({ terms, settled, top }: Chain): Promise<void> {
    const last = terms.at(-1);
    if (last !== undefined && last.number !== this.#owned?.term && (await this.#claims.isOwn(last.number)))
      this.#takeTerm(last.number, settled, top + 1);
  }

  #takeTerm(term: number, tail: Position, rival: number): void {
    this.#owned = newlyOwned(term, tail, rival, 0);
  }

  async #lastIn(chain: Chain): Promise<Position> {
    const last = chain.terms.at(-1);
    if (last === undefined) return 0;
    return Math.max(chain.settled, await this.#options.records.counted(last), this.tailOf(last));
  }
}
