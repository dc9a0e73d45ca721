/**
 * The journal of a primary: the one place that puts records, and the gate that every byte to a client passes.
 *
 * One loop, one put in flight (R2). Each turn takes everything committed by then and puts it as one flush (group
 * commit); if there is nothing, it renews the lease (R5) or announces a checkpoint. A flush waits a moment
 * for the writers that the last one released (flush-group.ts); a later collection covers no less.
 *
 * Why a byte that passed the gate can never be undone: the byte was produced from some state of the databases, which
 * was visible in their WAL indexes before the byte arrived here. `gate` returns only if (a) no index has moved past
 * what the batches taken so far cover and no batch is in flight, so that state is in the vault; or (b) a flush whose
 * collection *began after* the gate was called is durable: it covers that state. In both cases every earlier record is
 * durable too, because puts go one after the other. Reads need R5 on top: within the lease no other host has served.
 *
 * A huge transaction, or a large database that appears: reading and proving may take longer than the lease. Capture
 * gives the event loop a turn every few milliseconds, and the loop puts renewals meanwhile. There is still one put in
 * flight: the flush's own parts come after its collection. A renewal between a collection and its flush changes no
 * state, so the flush leads where it would have.
 *
 * Databases that cannot be captured now (`CaptureSource.uncaptured`): a flush that leaves something out covers no
 * waiter. Its waiters wait for the next one, until nothing is left out, or capture's patience is over and it throws.
 * Everything else continues to be put. Commits that lie in a log and not in its index (`CaptureSource.unfinished`):
 * their writer may be about to complete them, or may have responded. What arrived before they were found waits for them
 * too (unsettled-waiters.ts). Requests of a flush: flush-requests.ts. A suspended machine: suspension.ts.
 */
import type { CaptureError } from "../../capture/capture-error.ts";
import { mayRelease, renewDueAt } from "../../core/host/lease.ts";
import type { Timer } from "../../runtime/clock.ts";
import type { SectionToWrite } from "../../core/flush.ts";
import type { RecordBody } from "../../vault/record.ts";
import { journalEndOf, GateShutError, type JournalEnd, slowVault } from "./journal-end.ts";
import type { JournalOptions } from "./journal-options.ts";
import { doJob, type JobWork, JournalJobs, type MadeFlush, type MakeFlush, type SnapshotAt } from "./journal-job.ts";
import { FlushGroup } from "./flush-group.ts";
import { FlushRequests, type TakenRequests } from "./flush-requests.ts";
import { LossWindow } from "./loss-window.ts";
import type { CaptureBatch, CaptureSource } from "../ports/ports.ts";
import { type PartPorts, partCountOf, putParts } from "./flush-parts.ts";
import { FlushSections } from "./flush-sections.ts";
import { wallAheadOf, wasSuspendedSince } from "./suspension.ts";
import { renewingDuring } from "./renewing.ts";
import { tidyingDuring } from "./tidying.ts";
import { newDeferred, type Deferred } from "../../runtime/deferred.ts";
import { type SettlingCommits, UnsettledWaiters } from "./unsettled-waiters.ts";

/** How often the journal checks whether the application committed something without a response. */
const idleLookMs = 5;
/** Same while something cannot be captured. */
const heldLookMs = 10;
/** Same while responses wait for a commit that its index does not have: an fsync of the application takes as long. */
const unsettledLookMs = 1;

export class Journal {
  readonly #options: JournalOptions;
  #source: CaptureSource | undefined;
  #state: "running" | "closing" | "shut" = "running";
  #lastPutStartedAt: number;
  /** Its value before the last successful put. */
  #wallAheadMs: number;
  /** Waiters for a flush that has not begun to collect. */
  #next: Deferred | undefined;
  /** Waiters for the current flush. */
  #current: Deferred | undefined;
  /** Waiters for commits that were found in a log and not in its index. */
  readonly #unsettled = new UnsettledWaiters();
  /** Those that the current flush found. */
  #unfinished: SettlingCommits = [];
  /** Waiters for the lease to be valid again. */
  #lease: Deferred | undefined;
  readonly #lossWindow: LossWindow | undefined;
  readonly #group: FlushGroup;
  readonly #requests: FlushRequests;
  readonly #work: JobWork = {
    put: async (body) => {
      await this.#put(body, 0, body.kind === "checkpoint" ? this.#requests.table() : []);
      return this.position;
    },
    seal: () => (this.#source === undefined ? undefined : this.#sealAndJournal(this.#source)),
    make: (make) => this.#renewingDuring(make(this.position)),
    putMade: (made) => this.#putMade(made),
  };
  readonly #jobs = new JournalJobs(() => this.#wakeUp());
  /** Ends a put that waits for a vault that does not answer. */
  readonly #abort = new AbortController();
  #wake: (() => void) | undefined;
  /** The gate found a commit, and no flush has begun since. */
  #isAwaited = false;
  /** Monotonic time of the last check without a waiting response, and of capture's housekeeping. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  #commits = 0;
  #loop: Promise<void>;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#lastPutStartedAt = options.writer.startedAtMs;
    this.#lossWindow = options.durability.kind === "async" ? new LossWindow(options.durability.lossMaxMs) : undefined;
    this.#group = new FlushGroup(options.clock);
    this.#requests = new FlushRequests(options.handover, options.clock, options.rules, () => this.#source);
    this.#wallAheadMs = options.wallAheadMs ?? wallAheadOf(options.clock);
    this.#loop = this.#run();
  }

  /** From here on commits are captured. Before it, the journal only renews the lease of the fresh claim. */
  attach(source: CaptureSource): void {
    this.#source = source;
    source.stageAhead?.(this.#options.writer);
  }

  /** Monotonic start of the last put that succeeded. */
  get lastPutStartedAt(): number {
    return this.#lastPutStartedAt;
  }

  /** How often commits were found: grows with the application's writes. */
  get commits(): number {
    return this.#commits;
  }

  /** Log position of the last durable record. */
  get position(): number {
    return this.#options.writer.position;
  }

  /**
   * Called before every chunk for a client. Returns at once (undefined) if the chunk may leave, otherwise a promise
   * that resolves when it may. Throws or rejects with `GateShutError` if it never may.
   */
  gate(): void | Promise<void> {
    if (this.#state === "shut") throw new GateShutError();
    const { rules, clock } = this.#options;
    const leased = this.#isLeased();
    if (!rules.has("gate")) return leased ? undefined : this.#waitThenAskAgain(this.#waitForLease());
    const ahead = this.#isAhead();
    if (ahead) {
      this.#isAwaited = true;
      this.#wakeUp();
    }
    if (this.#lossWindow?.isFull(ahead, this.#current !== undefined, clock.now()) === false) {
      return leased ? undefined : this.#waitThenAskAgain(this.#waitForLease());
    }
    const flush = ahead ? (this.#next ??= newDeferred()) : this.#current;
    if (flush !== undefined) {
      this.#group.join(ahead ? "next" : "current");
      return this.#checkLeaseAfter(flush.promise);
    }
    const settled = this.#unsettled.add(this.#source?.unfinished?.());
    if (settled !== undefined) {
      this.#wakeUp();
      return this.#checkLeaseAfter(settled);
    }
    return leased ? undefined : this.#checkLeaseAfter(this.#waitForLease());
  }

  /** Puts one record after everything that is queued; resolves with its position when it is durable. */
  append(body: RecordBody): Promise<number> {
    return this.#jobs.record(body);
  }

  /** Seals the databases, journals everything committed until then, and returns the state after that record. */
  snapshot(): Promise<SnapshotAt> {
    return this.#jobs.snapshot();
  }

  /** Puts a flush that is not of capture, the last one: the application is gone. If it cannot be made, none is put. */
  rewind(make: MakeFlush): Promise<number> {
    return this.#jobs.made(make);
  }

  /** Journals everything committed, then `vacate`, then ends. The application is gone by then. */
  async vacate(reason: string, successor: string | undefined): Promise<number> {
    const position = await this.append({ kind: "vacate", reason, successor });
    this.abort();
    await this.#loop;
    return position;
  }

  /**
   * A read of the databases outside the loop (a checkpoint) differed from the captured state: ends like a failed
   * capture, since the application's responses may rest on it. Other errors of the vault are the caller's.
   */
  failedToRead(error: CaptureError): void {
    this.#abortWith(journalEndOf(error));
  }

  /** Releases nothing from now on. Synchronous; the loop ends with the put in flight. */
  abort(): void {
    if (this.#state === "shut") return;
    this.#state = "shut";
    const error = new GateShutError();
    for (const waiters of [this.#next, this.#current, this.#lease, this.#unsettled]) waiters?.reject(error);
    this.#next = this.#current = this.#lease = undefined;
    this.#jobs.close(error);
    this.#abort.abort(error);
    this.#wakeUp();
  }

  /** Resolves when the loop has ended; call after `abort`. */
  ended(): Promise<void> {
    return this.#loop;
  }

  #isAhead(): boolean {
    try {
      return this.#source?.isAhead() ?? false;
    } catch (error) {
      this.#abortWith(journalEndOf(error));
      throw new GateShutError();
    }
  }

  async #checkLeaseAfter(waited: Promise<void>): Promise<void> {
    await waited;
    while (!this.#isLeased()) {
      if (this.#state === "shut") throw new GateShutError();
      await this.#waitForLease();
    }
    if (this.#state === "shut") throw new GateShutError();
  }

  #isLeased(): boolean {
    const { clock, leaseMs, rules } = this.#options;
    if (!rules.has("R5-lease-for-reads")) return true;
    return mayRelease(clock.now(), this.#lastPutStartedAt, leaseMs) && !wasSuspendedSince(clock, this.#wallAheadMs);
  }

  async #waitThenAskAgain(waited: Promise<void>): Promise<void> {
    await waited;
    await this.gate();
  }

  #waitForLease(): Promise<void> {
    this.#wakeUp();
    return (this.#lease ??= newDeferred()).promise;
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  async #run(): Promise<void> {
    try {
      while (this.#state !== "shut") await this.#turn();
    } catch (error) {
      this.#abortWith(journalEndOf(error));
    }
  }

  /**
   * One turn of the loop: the most urgent put, or a wait. Commits that no response waits for are checked at intervals,
   * so that responses leave before the next check.
   */
  async #turn(): Promise<void> {
    this.#unsettled.release();
    const isHeld = this.#isHeld();
    // Held databases are checked repeatedly: a renewal must not wait for them.
    if (isHeld && this.#renewInMs() <= 0) return this.#put({ kind: "renew" }, 0);
    // A record comes after everything that was committed before it.
    const isLookDue = isHeld || this.#unsettled.isWaiting || this.#jobs.isAny || this.#lookInMs() <= 0;
    if (this.#next !== undefined || this.#isAwaited || (isLookDue && this.#isAhead())) {
      // A commit that no index shows is examined at once: another writer may overwrite it.
      const mayWait = !isHeld && !this.#jobs.isAny && this.#source?.isSuspicious?.() !== true;
      const waitMs = mayWait && !this.#requests.isTakingTurns ? this.#group.waitMs() : 0;
      if (waitMs > 0 && this.#renewInMs() > 0) return this.#idle(Math.min(waitMs, this.#renewInMs()));
      await this.#requests.pause(this.#group.flushMs);
      await this.#group.during(() => this.#flush());
      if (!isHeld || !this.#isHeld()) return;
    }
    const job = this.#jobs.next();
    if (job !== undefined) return doJob(job, this.#work);
    const renewInMs = this.#renewInMs();
    if (renewInMs <= 0 || this.#lease !== undefined) return this.#put({ kind: "renew" }, 0);
    if (isLookDue) await this.#tidy();
    if (isHeld) await this.#idle(Math.min(renewInMs, heldLookMs));
    else if (this.#unsettled.isWaiting) await this.#idle(Math.min(renewInMs, unsettledLookMs));
    else if (this.#next === undefined && !this.#jobs.isAny)
      await this.#idle(Math.min(renewInMs, Math.max(0, this.#lookInMs())));
  }

  #lookInMs(): number {
    return this.#lookedAt + idleLookMs - this.#options.clock.now();
  }

  #renewInMs(): number {
    return renewDueAt(this.#lastPutStartedAt, this.#options.leaseMs) - this.#options.clock.now();
  }

  /** True if something that responses may depend on cannot be captured now. */
  #isHeld(): boolean {
    return (this.#source?.uncaptured?.() ?? []).length > 0;
  }

  async #idle(delayMs: number): Promise<void> {
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = this.#options.clock.setTimer(delayMs, resolve);
    });
    timer?.cancel();
    this.#wake = undefined;
  }

  async #flush(): Promise<void> {
    const collect = () => this.#renewingDuring(Promise.resolve(this.#source?.collect()));
    await this.#covering(async () => {
      const { found, requests } = await this.#requests.during(collect, (batch) => batch);
      this.#takeUnfinished();
      if (found !== undefined) await this.#putBatch(found, requests);
    });
  }

  /**
   * Runs a flush. Waiters are taken before collecting begins: later callers wait for the next one, unless nothing is
   * ahead.
   */
  async #covering<T>(flush: () => Promise<T>): Promise<T> {
    const waiters = (this.#current = this.#next ?? newDeferred());
    this.#next = undefined;
    this.#isAwaited = false;
    this.#lossWindow?.flushBegins(this.#options.clock.now());
    const result = await flush();
    this.#current = undefined;
    if (this.#isHeld()) this.#putOff(waiters);
    else {
      this.#lossWindow?.flushEnded();
      this.#unsettled.resolveAfter(this.#unfinished, waiters);
    }
    return result;
  }

  /** After a collection: its waiters arrived earlier, and cannot rest on what is found later. */
  #takeUnfinished(): void {
    this.#unfinished = this.#source?.unfinished?.() ?? [];
    this.#unsettled.release();
  }

  /** Returns waiters to the queue because their flush left something out. */
  #putOff(waiters: Deferred): void {
    if (this.#next === undefined) this.#next = waiters;
    else this.#next.promise.then(waiters.resolve, waiters.reject);
  }

  /** Waits for work of capture; ends at once if a renewal finds this host fenced. */
  #renewingDuring<T>(work: Promise<T>): Promise<T> {
    const renew = (): Promise<void> => this.#put({ kind: "renew" }, 0);
    return renewingDuring(work, this.#options.clock, {
      isOver: () => this.#state === "shut",
      renewInMs: () => this.#renewInMs(),
      renew,
      onFailed: (error) => this.#abortWith(journalEndOf(error)),
    });
  }

  async #putBatch(batch: CaptureBatch, { sections: requests, onDurable }: TakenRequests): Promise<void> {
    this.#commits += 1;
    const sections = new FlushSections(requests, this.#options.rules.has("files-with-rows") ? batch.files : undefined);
    try {
      const put: PartPorts["put"] = ({ body, bytes }) =>
        this.#tidyingDuring(this.#put(body, bytes, sections.of(body.part)));
      await putParts(batch, { put, prepare: ({ body }) => this.#options.writer.prepare(body) }, sections);
    } catch (error) {
      batch.abort?.();
      throw error;
    }
    onDurable();
    batch.done();
    batch.files?.done(this.position - partCountOf(batch, sections) + 1);
  }

  #tidyingDuring<T>(put: Promise<T>): Promise<T> {
    return tidyingDuring(put, this.#options.clock, {
      isDue: this.#lookInMs() <= 0,
      tidy: () => this.#tidy(),
      onFailed: (error) => this.#abortWith(journalEndOf(error)),
    });
  }

  #tidy(): Promise<void> | undefined {
    this.#lookedAt = this.#options.clock.now();
    return this.#source?.tick();
  }

  async #putMade({ batch, section }: MadeFlush): Promise<number> {
    this.#source = undefined;
    const requests = this.#requests.ofRewind();
    await this.#putBatch(batch, { ...requests, sections: [...requests.sections, section] });
    return this.position;
  }

  async #sealAndJournal(source: CaptureSource): Promise<SnapshotAt> {
    return this.#covering(async () => {
      const begin = () => this.#renewingDuring(source.beginSnapshot());
      const { found, requests } = await this.#requests.during(begin, ({ batch }) => batch);
      this.#takeUnfinished();
      if (found.batch !== undefined) await this.#putBatch(found.batch, requests);
      return { snapshot: found.snapshot, position: this.position, hash: this.#options.writer.hash };
    });
  }

  async #put(body: RecordBody, bytes: number, sections: readonly SectionToWrite[] = []): Promise<void> {
    const { writer, clock, leaseMs, onWarning } = this.#options;
    const wallAheadMs = wallAheadOf(clock);
    const { startedAtMs } = await writer.append(body, { signal: this.#abort.signal, sections });
    this.#lastPutStartedAt = startedAtMs;
    this.#wallAheadMs = wallAheadMs;
    if (!mayRelease(clock.now(), startedAtMs, leaseMs)) onWarning?.(slowVault(leaseMs));
    const lease = this.#lease;
    this.#lease = undefined;
    lease?.resolve();
    this.#options.onRecord({ kind: body.kind, bytes, tookMs: clock.now() - startedAtMs });
  }

  #abortWith(end: JournalEnd): void {
    if (this.#state === "shut") return;
    this.abort();
    this.#options.onEnd(end);
  }
}
