/**
 * The claims of one process in a segment log: takes numbers, reads where the log ends, and puts seals. segment-log.ts
 * has the argument.
 */
import type { Rules } from "../../../core/rules.ts";
import type { Clock } from "../../../runtime/clock.ts";
import type { Random } from "../../../runtime/random.ts";
import type { Position } from "../../record.ts";
import type { SegmentFiles } from "../../store/segment-files.ts";
import { type Store, StoreError } from "../../store/store.ts";
import { encodeSeal, type Seal } from "./seal.ts";
import { encodeEntry, sealTag } from "./segment-entry.ts";
import { claimKey, markKey, sealKey } from "./segment-key.ts";
import type { TermRecords } from "./term-records.ts";
import type { Chain, LogTerm, Terms } from "./terms.ts";

/** A claim by which one process takes the whole log begins with this; 16 random bytes follow, as in any claim. */
const soleMark = Buffer.from("sole:");
const randomBytes = 16;

/**
 * How long a claim may stay without a seal before another claim ends it. A claimant needs some milliseconds. It is as
 * much more for each claim that was ended in a row before: where a seal takes longer than this, claimants would end
 * each other's claims without end.
 */
const unsealedMsMax = 1_000;

export interface ClaimsOptions {
  readonly store: Store;
  readonly files: SegmentFiles;
  readonly terms: Terms;
  readonly records: TermRecords;
  readonly clock: Clock;
  readonly random: Random;
  readonly rules: Rules;
}

/** What a claim is for: the record of a term that takes over. */
export interface EpochBytes {
  readonly position: Position;
  readonly bytes: Uint8Array;
}

/** A claim of this process that has no seal yet. */
export interface OpenClaim {
  readonly number: number;
  readonly content: Uint8Array;
  /** This may have been put: nothing else can be any more. */
  seal: Seal | undefined;
}

/** Another process writes the log where this one did. Nothing that this one has not acknowledged counts. */
export class LogTakenError extends StoreError {
  constructor(claim: number) {
    super(
      "unsuitable",
      `another process has taken the log, by claim ${claim}`,
      "One vault server or the hosts themselves may write a folder's log: stop the other process, then start this one again.",
    );
  }
}

export class Claims {
  readonly #options: ClaimsOptions;
  #open: OpenClaim | undefined;
  /**
   * Contents of the claims that this process has put, by number. A put that failed may have come to nothing, and the
   * number may be another host's: a claim is this process's if it has this content.
   */
  readonly #own = new Map<number, Uint8Array>();
  /** When claims without a seal were seen first. */
  readonly #unsealed = new Map<number, number>();
  /** The claim by which this process took the whole log: from then on every other process's claim ends that. */
  #sole: number | undefined;

  constructor(options: ClaimsOptions) {
    this.#options = options;
  }

  /** True if the seal of a claim may be there already, after a put that failed. */
  get mayBeSealed(): boolean {
    return this.#open?.seal !== undefined;
  }

  /** True if this process has taken the whole log. */
  get hasAll(): boolean {
    return this.#sole !== undefined;
  }

  /** True if this process has made the claim. Throws StoreError. */
  async isOwn(number: number): Promise<boolean> {
    const content = this.#own.get(number);
    return content !== undefined && isSame(await this.#options.store.get(claimKey(number)), content);
  }

  /**
   * Throws LogTakenError if a claim from `number` on says that another process has taken the log. Where this process
   * has the whole log, any claim of another one says so.
   */
  async assertNotTaken(number = (this.#sole ?? 0) + 1): Promise<void> {
    for (let at = number; ; at += 1) {
      const content = await this.#options.store.get(claimKey(at));
      if (content === undefined) return;
      const isOwn = isSame(this.#own.get(at), content);
      if (!isOwn && (this.#sole !== undefined || isSoleClaim(content))) throw new LogTakenError(at);
    }
  }

  /** True if a claim without a seal, first seen now or by an earlier call, may still get it. `top`: of the chain. */
  isPatientWith(number: number, top: number): boolean {
    const now = this.#options.clock.now();
    const since = this.#unsealed.get(number) ?? now;
    this.#unsealed.set(number, since);
    return now - since < unsealedMsMax * Math.max(1, number - top);
  }

  /**
   * Takes the next number, unless a claim of another host may still be sealed: undefined then. From its creation on, no
   * term before acknowledges anything, so what is read afterwards is all that was acknowledged.
   */
  async open(chain: Chain, epoch: Uint8Array | undefined, mark = new Uint8Array()): Promise<OpenClaim | undefined> {
    const { terms, store, random } = this.#options;
    for (const number of this.#unsealed.keys()) if (number <= chain.top) this.#unsealed.delete(number);
    let claim = this.#open;
    const isOver = claim !== undefined && claim.number <= chain.top;
    if (isOver || (claim?.seal !== undefined && !isSame(claim.seal.epoch, epoch))) claim = this.#open = undefined;
    if (claim === undefined) {
      const newest = (await terms.claimed()).at(-1) ?? 0;
      // Its own is not waited for.
      if (newest > chain.top && !(await this.isOwn(newest)) && this.isPatientWith(newest, chain.top)) return undefined;
      if (newest > chain.top && this.#options.rules.has("segment-no-gap")) await this.#keepClaim(newest);
      claim = { number: newest + 1, content: Buffer.concat([mark, random.bytes(randomBytes)]), seal: undefined };
      this.#open = claim;
      this.#own.set(claim.number, claim.content);
    }
    const outcome = await store.putIfAbsent(claimKey(claim.number), claim.content);
    if (outcome.kind === "created") return claim;
    const found = await store.get(claimKey(claim.number));
    if (isSame(found, claim.content)) return claim;
    this.#own.delete(claim.number);
    this.#open = undefined;
    return undefined;
  }

  /**
   * Seals an open claim: it takes over with this record if the log ends right before it. Returns the seal, and whether
   * it counts.
   */
  async seal(
    claim: OpenClaim,
    epoch: EpochBytes,
    early?: Seal,
  ): Promise<{ readonly seal: Seal; readonly counts: boolean }> {
    const seal = (claim.seal ??= early ?? (await this.#sealAfter(claim.number, epoch)));
    return { seal, counts: await this.#put(claim.number, seal) };
  }

  /** The mutant reads the end of the log, and then creates its claim. */
  async sealBeforeClaim(epoch: EpochBytes): Promise<Seal | undefined> {
    return this.#options.rules.has("segment-claim-before-end") ? undefined : this.#sealAfter(Infinity, epoch);
  }

  /** Ends a claim without a seal, by one that comes to nothing. Returns false if another host's may not be over. */
  async voidUnsealed(chain: Chain): Promise<boolean> {
    const claim = await this.open(chain, undefined);
    if (claim === undefined) return false;
    claim.seal ??= await this.#sealAfter(claim.number, undefined);
    await this.#put(claim.number, claim.seal);
    return true;
  }

  /**
   * Takes the whole log for this process: by a claim that comes to nothing, and that owners of terms know (`soleMark`).
   * Returns its number; undefined: another host's claim may not be over, or came later: try again.
   */
  async takeAll(chain: Chain): Promise<number | undefined> {
    this.#open = undefined;
    const claim = await this.open(chain, undefined, soleMark);
    if (claim === undefined) return undefined;
    claim.seal ??= await this.#sealAfter(claim.number, undefined);
    if (!(await this.#put(claim.number, claim.seal))) return undefined;
    this.#sole = claim.number;
    return claim.number;
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
  async #sealAfter(claim: number, epoch: EpochBytes | undefined): Promise<Seal> {
    const { terms, records, store, rules } = this.#options;
    const number = (await terms.sealed()).findLast((sealed) => sealed < claim) ?? 0;
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
  async #put(claim: number, seal: Seal): Promise<boolean> {
    const { store, files, rules } = this.#options;
    const position = seal.epoch === undefined ? seal.before.end : seal.before.end + 1;
    try {
      await store.putIfAbsent(sealKey(claim), encodeSeal(seal));
      const isLast = !rules.has("segment-seal-counts") || (await store.get(claimKey(claim + 1))) === undefined;
      const marked = isLast ? files.mark(markKey(claim), position) : undefined;
      // Readers see an `epoch` record without a mark as soon as another record follows.
      await (seal.epoch === undefined ? marked : marked?.catch(() => undefined));
      this.#open = undefined;
      if (!isLast) return false;
    } catch (error) {
      throw asAmbiguous(error);
    }
    return true;
  }
}

const isSoleClaim = (content: Uint8Array): boolean =>
  content.length === soleMark.length + randomBytes && soleMark.equals(content.subarray(0, soleMark.length));

/** The operation may have taken effect. */
export const asAmbiguous = (error: unknown): unknown =>
  error instanceof StoreError && error.kind !== "unsuitable"
    ? new StoreError("ambiguous", error.message, error.advice, { cause: error })
    : error;

const isSame = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
