/**
 * Hands named requests over to the application: notes their names before, their outcomes after, and holds some back, so
 * that hardly any executes while a flush is collected (core/host/quiet-cut.ts, core/request-names.ts).
 *
 * No promise rests on that: a request that executes at the collection has its name in the flush (names are taken after
 * it), and its outcome in a later one. Why the pause gives what it is for: no request is handed over from its beginning
 * until `release`, which comes after the collection. So what has begun and was answered by then is whole in this flush,
 * commit and outcome, and what begins later is not in it at all.
 */
import {
  firstQuietCut,
  onAnswer,
  onFlush,
  onWaited,
  type QuietCut,
  quietWaitMs,
  isWaiting,
  windowOf,
} from "../../core/host/quiet-cut.ts";
import type { Beginning, NamedRequest, RequestNames } from "../../core/request-names.ts";
import type { RequestOutcome } from "../../core/request-outcome.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";

interface Executing {
  readonly named: NamedRequest;
  /** Monotonic milliseconds. */
  readonly sinceMs: number;
  /** Young ones when it began, itself included. */
  readonly among: number;
}

/** With fewer in flight a flush is put off for more: halves of them would be single requests. */
const takingTurnsFrom = 3;
const inFlightSmoothing = 1 / 4;

/** A request is any object of its own. */
export class Handover {
  readonly names: RequestNames;
  readonly #clock: Clock;
  /** In order of their beginning; those that have been executing for longer than a flush waits are `#old`. */
  readonly #young = new Map<object, Executing>();
  readonly #old = new Map<object, Executing>();
  readonly #waiting: (() => void)[] = [];
  /** Let through, and not begun yet. */
  #admitted = 0;
  /** The application got the first of its young requests, and has answered last: monotonic milliseconds. */
  #busySinceMs = 0;
  #answeredAtMs = 0;
  /** Answered since the last collection began. */
  #answered = 0;
  /** Named requests, here, in the application or answered since the collection before; smoothed. */
  #inFlight = 0;
  #isPaused = false;
  /** Those that a flush waits for, and what ends its wait. */
  readonly #awaited = new Set<object>();
  #onQuiet: (() => void) | undefined;
  #state: QuietCut = firstQuietCut;
  #waitMs = quietWaitMs(0);
  #timer: Timer | undefined;

  constructor(names: RequestNames, clock: Clock) {
    this.names = names;
    this.#clock = clock;
  }

  /** A named request may begin at once. */
  get isOpen(): boolean {
    return this.#waiting.length === 0 && this.#hasRoom();
  }

  /** One half of the requests in flight executes while the other waits for a flush, which is not put off for more. */
  get isTakingTurns(): boolean {
    return this.#isWaitingForQuiet && this.#state.mode.manner === "queue" && this.#inFlight >= takingTurnsFrom;
  }

  /** Without outcomes an answered request is in doubt too: nothing would be gained. */
  get #isWaitingForQuiet(): boolean {
    return this.names.limits.keepMs > 0 && isWaiting(this.#state);
  }

  /** Resolves when the next named request may begin: with `begin`, or `decline` if it does not. In order. */
  async whenOpen(): Promise<void> {
    if (!this.isOpen)
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
        this.#lookAgainLater();
      });
    else this.#admitted += 1;
  }

  /** What was let through does not begin. */
  decline(): void {
    // One that found room has taken the place of one that was let through.
    this.#admitted = Math.max(0, this.#admitted - 1);
    this.#admit();
  }

  /** Before the application gets the first byte; also of requests without a name. */
  begin(request: object, named: NamedRequest | undefined, position: number): Beginning {
    const nowMs = this.#clock.now();
    if (named !== undefined && this.#admitted > 0) this.#admitted -= 1;
    if (named?.isKeyed === true && this.#isNameExecuting(named)) return { kind: "executing" };
    const beginning = this.names.begin(named, position, nowMs);
    if (named === undefined || beginning.kind !== "execute") return beginning;
    this.#age(nowMs);
    if (this.#young.size === 0) this.#busySinceMs = nowMs;
    this.#young.set(request, { named, sinceMs: nowMs, among: this.#young.size + 1 });
    return beginning;
  }

  #isNameExecuting({ run, count }: NamedRequest): boolean {
    for (const executing of [this.#young, this.#old])
      for (const { named } of executing.values()) if (named.count === count && named.run === run) return true;
    return false;
  }

  isExecuting(request: object): boolean {
    return this.#executing(request) !== undefined;
  }

  #executing(request: object): Executing | undefined {
    return this.#young.get(request) ?? this.#old.get(request);
  }

  /** Its answer is complete, and the end of it has not been released. */
  answered(request: object, outcome: RequestOutcome): void {
    const executing = this.#executing(request);
    if (executing === undefined) return;
    this.names.answered(executing.named, outcome);
    this.#learn(executing);
    this.#answered += 1;
    this.over(request);
  }

  #learn({ among, sinceMs }: Executing): void {
    const nowMs = this.#clock.now();
    const isFirst = this.#busySinceMs > this.#answeredAtMs;
    const gapMs = nowMs - Math.max(this.#busySinceMs, this.#answeredAtMs);
    const answer = { among, tookMs: nowMs - sinceMs, executing: this.#young.size, gapMs, isFirst };
    this.#state = onAnswer(this.#state, answer, Math.min(this.#window, this.#inFlight));
    this.#answeredAtMs = nowMs;
  }

  get #window(): number {
    return windowOf(this.#state, this.#inFlight, this.#waitMs);
  }

  /** No byte of it was sent. */
  withdraw(request: object): void {
    this.names.withdraw(this.#executing(request)?.named);
    this.over(request);
  }

  /** The application is not asked for its answer any more. */
  over(request: object): void {
    if (!this.#young.delete(request) && !this.#old.delete(request)) return;
    if (this.#awaited.delete(request) && this.#awaited.size === 0) this.#onQuiet?.();
    this.#admit();
  }

  /** Pauses the hand-over for a flush that takes `flushMs`, and waits for what has begun. `release` must follow. */
  async pause(flushMs: number): Promise<void> {
    const nowMs = this.#clock.now();
    this.#waitMs = quietWaitMs(flushMs);
    this.#state = onFlush(this.#state, nowMs);
    if (this.#isWaitingForQuiet) {
      this.#isPaused = true;
      this.#age(nowMs);
      for (const request of this.#young.keys()) this.#awaited.add(request);
      if (this.#awaited.size > 0) {
        await this.#whenQuiet();
        this.#state = onWaited(this.#state, this.#awaited.size === 0);
        this.#awaited.clear();
      }
    }
    const inFlight = this.#waiting.length + this.#admitted + this.#young.size + this.#answered;
    this.#inFlight += inFlightSmoothing * (inFlight - this.#inFlight);
    this.#answered = 0;
  }

  async #whenQuiet(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onQuiet = resolve;
    const timer = this.#clock.setTimer(this.#waitMs, resolve);
    await promise;
    timer.cancel();
    this.#onQuiet = undefined;
  }

  /** The collection is over: hands over again. */
  release(): void {
    this.#isPaused = false;
    this.#admit();
  }

  #age(nowMs: number): void {
    for (const [request, executing] of this.#young) {
      if (executing.sinceMs > nowMs - this.#waitMs) return;
      this.#young.delete(request);
      this.#old.set(request, executing);
    }
  }

  #hasRoom(): boolean {
    if (this.#isPaused) return false;
    if (!this.#isWaitingForQuiet) return true;
    this.#age(this.#clock.now());
    return this.#young.size + this.#admitted < this.#window;
  }

  #admit(): void {
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      this.#admitted += 1;
      this.#waiting.shift()?.();
    }
    if (this.#waiting.length > 0) this.#lookAgainLater();
  }

  /** Those that execute may be young no longer without any of them being answered. */
  #lookAgainLater(): void {
    this.#timer ??= this.#clock.setTimer(this.#waitMs, () => {
      this.#timer = undefined;
      this.#admit();
    });
  }
}
