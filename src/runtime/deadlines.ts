/**
 * Time limits for many connections with one timer: setting one is an assignment, and a sweep every `tickMs` finds those
 * that have passed. A timer per request costs more than the rest of the bookkeeping together.
 *
 * A limit never fires early and at most two ticks late.
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

  /** The `deadlineAt` that lies `ms` ahead; 0 means no limit. */
  after(ms: number): number {
    return ms === 0 ? Infinity : this.now + ms + tickMs;
  }

  add(timed: Timed): void {
    if (this.#watched.size === 0) this.#start();
    this.#watched.add(timed);
  }

  /** The timer stops with the last one, so that nothing keeps a process alive. */
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
