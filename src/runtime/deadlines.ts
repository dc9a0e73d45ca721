/**
 * Time limits for many connections with one timer: setting one is an assignment, and a sweep every `tickMs` finds those
 * that have passed. A timer per request would cost more than all other bookkeeping.
 *
 * A limit never fires early, and at most two ticks late.
 */
import type { Clock, Timer } from "./clock.ts";

export interface Timed {
  /** Monotonic milliseconds, `Infinity` for none. Set it with `Deadlines.after`. */
  deadlineAt: number;
  onDeadline(): void;
}

export const tickMs = 100;

export class Deadlines {
  readonly #clock: Clock;
  readonly #watched = new Set<Timed>();
  #timer: Timer | undefined;
  /** Time of the last sweep; never ahead of the clock. */
  now = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Returns the `deadlineAt` that is `ms` ahead; 0 means no limit. */
  after(ms: number): number {
    return ms === 0 ? Infinity : this.now + ms + tickMs;
  }

  add(timed: Timed): void {
    if (this.#watched.size === 0) this.#start();
    this.#watched.add(timed);
  }

  /** Stops the timer with the last one, so that it does not keep the process alive. */
  remove(timed: Timed): void {
    this.#watched.delete(timed);
    if (this.#watched.size === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
  }

  #start(): void {
    this.now = this.#clock.now();
    this.#timer ??= this.#clock.setTimer(tickMs, () => this.#sweep());
  }

  #sweep(): void {
    this.#timer = undefined;
    this.now = this.#clock.now();
    for (const timed of this.#watched) {
      if (timed.deadlineAt <= this.now) timed.onDeadline();
    }
    if (this.#watched.size > 0) this.#timer ??= this.#clock.setTimer(tickMs, () => this.#sweep());
  }
}
