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
  isLeftAlone,
  mayHandOver,
  onAnswer,
  onWaited,
  type QuietCut,
  quietWaitMs,
} from "../../core/host/quiet-cut.ts";
import type { Beginning, NamedRequest, RequestNames } from "../../core/request-names.ts";
import type { RequestOutcome } from "../../core/request-outcome.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";

interface Executing {
  readonly named: NamedRequest;
  /** Monotonic milliseconds. */
  readonly sinceMs: number;
}

/** A request is any object of its own. */
export class Handover {
  readonly names: RequestNames;
  readonly #clock: Clock;
  /** In order of their beginning. */
  readonly #executing = new Map<object, Executing>();
  readonly #waiting: (() => void)[] = [];
  /** Let through, and not begun yet. */
  #admitted = 0;
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
    this.#admitted -= 1;
    this.#admit();
  }

  /** Before the application gets the first byte; also of requests without a name. */
  begin(request: object, named: NamedRequest | undefined, position: number): Beginning {
    const nowMs = this.#clock.now();
    if (named !== undefined && this.#admitted > 0) this.#admitted -= 1;
    if (named?.isKeyed === true && this.#isNameExecuting(named)) return { kind: "executing" };
    const beginning = this.names.begin(named, position, nowMs);
    if (named !== undefined && beginning.kind === "execute") this.#executing.set(request, { named, sinceMs: nowMs });
    return beginning;
  }

  #isNameExecuting({ run, count }: NamedRequest): boolean {
    for (const { named } of this.#executing.values()) if (named.count === count && named.run === run) return true;
    return false;
  }

  isExecuting(request: object): boolean {
    return this.#executing.has(request);
  }

  /** Its answer is complete, and the end of it has not been released. */
  answered(request: object, outcome: RequestOutcome): void {
    const named = this.#executing.get(request)?.named;
    if (named === undefined) return;
    this.names.answered(named, outcome);
    this.over(request);
  }

  /** No byte of it was sent. */
  withdraw(request: object): void {
    this.names.withdraw(this.#executing.get(request)?.named);
    this.over(request);
  }

  /** The application is not asked for its answer any more. */
  over(request: object): void {
    if (!this.#executing.delete(request)) return;
    this.#state = onAnswer(this.#state);
    if (this.#awaited.delete(request) && this.#awaited.size === 0) this.#onQuiet?.();
    this.#admit();
  }

  /** Pauses the hand-over for a flush that takes `flushMs`, and waits for what has begun. `release` must follow. */
  async pause(flushMs: number): Promise<void> {
    this.#waitMs = quietWaitMs(flushMs);
    if (isLeftAlone(this.#state)) {
      this.#state = onWaited(this.#state, 0, true);
      return;
    }
    this.#isPaused = true;
    for (const request of this.#young()) this.#awaited.add(request);
    const young = this.#awaited.size;
    if (young > 0) await this.#whenQuiet();
    this.#state = onWaited(this.#state, young, this.#awaited.size === 0);
    this.#awaited.clear();
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

  #young(): object[] {
    const youngMs = this.#clock.now() - this.#waitMs;
    const young: object[] = [];
    for (const [request, { sinceMs }] of this.#executing) if (sinceMs > youngMs) young.push(request);
    return young;
  }

  #hasRoom(): boolean {
    if (this.#isPaused) return false;
    return isLeftAlone(this.#state) || mayHandOver(this.#state, this.#young().length + this.#admitted);
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
