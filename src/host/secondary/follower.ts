/**
 * The follower of a secondary: reads the log as it grows and applies it to the local databases, so that a promotion has
 * only the last few records left to load, whatever the size of the databases.
 *
 * A flush of several parts is applied with its last part only; parts whose flush was never finished (the primary died
 * in between) are dropped when the next `epoch` record comes: no client was told of them.
 *
 * A record that was read but could not be applied (full disk, damaged copy) ends the follower: the reader is past it,
 * so continuing would leave it out, and a claim on top of that would lose it. Every later `catchUp` throws the same
 * error; only a new restore fixes it. Failing to *read* changes nothing: the reader keeps its position, and the next
 * call tries again.
 *
 * Catching up is also the first half of a claim (R1). The claim stands on what was read and applied by then, and on
 * when it was first seen (R5), so it has exclusive use of the follower until it is decided (`alone`): a second order to
 * take over would read on meanwhile.
 *
 * A part that takes the files over (a restore, a term) first ends the follower. A look-up that a slow vault answers
 * later is then not applied: it would be written into files that belong to another owner.
 */
import type { DatabaseChecksum } from "../../core/delta.ts";
import type { Flush } from "../../core/flush.ts";
import type { OpenLease } from "../../core/host/lease.ts";
import type { Clock } from "../../runtime/clock.ts";
import { FlushAssembler, type PageKeeper } from "../../vault/log/flush-assembler.ts";
import type { LogReader } from "../../vault/log/log-reader.ts";
import type { LogRecord, Position } from "../../vault/record.ts";
import { isTransient } from "../../vault/store/retry.ts";
import { applyFlush } from "./unappliable-flush.ts";

/** The destination of flushes on a secondary; implemented by `Replica` of src/capture. */
export interface ApplyTarget {
  /** Applies the whole flush, or nothing of it. Ignores optional sections of unknown kinds. */
  apply(flush: Flush): Promise<void>;
  checksums(): ReadonlyMap<string, DatabaseChecksum>;
  /**
   * Called when there is nothing to apply: looks for what other processes have changed. Throws what ends a follower.
   */
  look?(): void;
  /** Where parts of a large flush wait for the last one; without it they wait in memory. */
  readonly spool?: PageKeeper | undefined;
}

/** The content of the last `epoch` record, and its later state. */
export interface EpochSeen {
  readonly epoch: number;
  readonly host: string;
  readonly leaseMs: number;
  readonly controlUrl: string;
  readonly instance: string;
  /** The last record of this epoch is a `vacate`. */
  readonly vacated: boolean;
}

/** An earlier claim without a `vacate` record, with the address to check whether it is gone. */
export type Predecessor = OpenLease & Pick<EpochSeen, "host" | "controlUrl" | "instance">;

export interface FollowerOptions {
  readonly reader: LogReader;
  readonly target: ApplyTarget;
  readonly clock: Clock;
  /** Called for each record after it was applied. */
  readonly onRecord: (record: LogRecord) => void;
  /** What the checkpoint says about the log before the reader's start. */
  readonly epochAtStart: EpochSeen | undefined;
}

export class Follower {
  readonly #options: FollowerOptions;
  readonly #flush: FlushAssembler;
  /** Last position that is not within a flush. */
  #wholeUpTo: Position;
  #epoch: EpochSeen | undefined;
  #lastRecordSeenAt: number | undefined;
  /**
   * Claims before the last one, by the run of a host that made them: a run that claims again has ended its earlier
   * term.
   */
  readonly #overtaken = new Map<string, Predecessor>();
  /** The present reader or claimant. */
  #running: Promise<void> | undefined;
  #applying: Promise<void> | undefined;
  /** Taken from the log, and not applied: the vault did not answer. It comes before the next one. */
  #waiting: { readonly record: LogRecord; readonly flush: Flush | undefined } | undefined;
  /** A record was not applied, or the follower was ended: nothing that follows may be applied. */
  #failure: Error | undefined;
  #answeredAt: number;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#flush = new FlushAssembler(options.target.spool);
    this.#wholeUpTo = options.reader.position;
    this.#answeredAt = options.clock.now();
    this.#epoch = options.epochAtStart;
    // It is unknown when the records before the start were written, so R5 counts from now: late, never early.
    this.#lastRecordSeenAt = options.epochAtStart === undefined ? undefined : options.clock.now();
  }

  get reader(): LogReader {
    return this.#options.reader;
  }

  get epoch(): EpochSeen | undefined {
    return this.#epoch;
  }

  /** Monotonic time of the last look at the log that the vault answered. */
  get answeredAt(): number {
    return this.#answeredAt;
  }

  /** Monotonic time at which this host first saw the last record; undefined if it saw none. */
  get lastRecordSeenAt(): number | undefined {
    return this.#lastRecordSeenAt;
  }

  /** Returns the claims whose leases a claim made now must wait for (R5); call it before the claim itself is read. */
  predecessors(): readonly Predecessor[] {
    const last = this.#openClaim();
    return last === undefined ? [...this.#overtaken.values()] : [...this.#overtaken.values(), last];
  }

  /** The last claim, unless it was vacated. */
  #openClaim(): Predecessor | undefined {
    if (this.#epoch === undefined || this.#epoch.vacated || this.#lastRecordSeenAt === undefined) return undefined;
    const { host, controlUrl, instance, leaseMs } = this.#epoch;
    return { host, controlUrl, instance, leaseMs, lastRecordSeenAt: this.#lastRecordSeenAt };
  }

  /**
   * Applies every available record, and returns their number. Calls are served one after the other. Throws reader
   * errors, and errors of applying, the latter permanently.
   */
  catchUp(signal?: AbortSignal): Promise<number> {
    return this.alone((catchUp) => catchUp(signal));
  }

  /**
   * Runs `work` with exclusive reading; its argument catches up. Throws errors of `work` and, like `catchUp`, permanent
   * ones.
   */
  async alone<T>(work: (catchUp: (signal?: AbortSignal) => Promise<number>) => Promise<T>): Promise<T> {
    while (this.#running !== undefined) await this.#running;
    if (this.#failure !== undefined) throw this.#failure;
    const running = work((signal) => this.#catchUp(signal));
    this.#running = running.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await running;
    } finally {
      this.#running = undefined;
    }
  }

  /** When it resolves nothing is applied any more, not even a record that is just being read. */
  async close(): Promise<void> {
    this.#failure ??= new Error("this host no longer follows");
    await this.#applying;
  }

  async #catchUp(signal: AbortSignal | undefined): Promise<number> {
    for (let count = 0; ; count += 1) {
      // Before the next one is read: a record that was read is also applied.
      signal?.throwIfAborted();
      const record = this.#waiting?.record ?? (await this.reader.next());
      if (this.#failure !== undefined) throw this.#failure;
      this.#answeredAt = this.#options.clock.now();
      if (record === undefined) return count;
      const applying = this.#takeOrEnd(record);
      this.#applying = applying.catch(() => undefined);
      await applying;
    }
  }

  /**
   * Follows until the signal is aborted; throws what `catchUp` throws. A living primary writes within its lease: if
   * nothing has come for longer, this host checks once whether it was left behind, and need not call itself a secondary
   * until the reader checks by itself.
   */
  async follow(pollMs: number, signal: AbortSignal): Promise<void> {
    let askedAfter = 0;
    while (!signal.aborted) {
      await this.catchUp();
      this.#look();
      const silentMs = this.#options.clock.now() - (this.#lastRecordSeenAt ?? Infinity);
      if (silentMs > (this.#epoch?.leaseMs ?? Infinity) && askedAfter !== this.reader.position) {
        await this.reader.assertNotLeftBehind();
        askedAfter = this.reader.position;
      }
      await this.#options.clock.sleep(pollMs, signal).catch(() => undefined);
    }
  }

  #look(): void {
    if (this.#failure !== undefined) return;
    try {
      this.#options.target.look?.();
    } catch (error) {
      this.#failure = error instanceof Error ? error : new Error(String(error));
      throw this.#failure;
    }
  }

  async #takeOrEnd(record: LogRecord): Promise<void> {
    try {
      await this.#take(record);
    } catch (error) {
      // Contents of files may be in chunks of the vault. Nothing of the flush can be seen yet.
      if (isTransient(error)) throw error;
      this.#failure = error instanceof Error ? error : new Error(String(error));
      throw this.#failure;
    }
  }

  async #take(record: LogRecord): Promise<void> {
    const { header, body } = record;
    const flush = this.#waiting === undefined ? this.#flush.push(record) : this.#waiting.flush;
    this.#waiting = { record, flush };
    if (flush !== undefined) await applyFlush(this.#options.target, flush, this.#wholeUpTo);
    this.#waiting = undefined;
    if (!this.#flush.isOpen) this.#wholeUpTo = header.position;
    switch (body.kind) {
      case "epoch":
        this.#overtake(body.instance);
        this.#epoch = { epoch: header.epoch, host: header.host, vacated: false, ...lease(body) };
        break;
      case "vacate":
        if (this.#epoch !== undefined) this.#epoch = { ...this.#epoch, vacated: true };
        break;
      case "commit":
      case "renew":
      case "checkpoint":
        break;
    }
    this.#lastRecordSeenAt = this.#options.clock.now();
    this.#options.onRecord(record);
  }

  #overtake(byInstance: string): void {
    const overtaken = this.#openClaim();
    if (overtaken !== undefined) this.#overtaken.set(overtaken.instance, overtaken);
    this.#overtaken.delete(byInstance);
  }
}

const lease = (body: {
  leaseMs: number;
  controlUrl: string;
  instance: string;
}): Pick<EpochSeen, "leaseMs" | "controlUrl" | "instance"> => ({
  leaseMs: body.leaseMs,
  controlUrl: body.controlUrl,
  instance: body.instance,
});
