/**
 * Async durability: for how long acknowledgements may leave before what they acknowledge is durable.
 *
 * Counted from a moment at or before the first acknowledgement that is not durable yet, over any number of flushes:
 * what was acknowledged while a slow flush was under way, and is not in it, has been open since then and not since the
 * flush ended.
 */
export class LossWindow {
  readonly #lossMaxMs: number;
  #openSince: number | undefined;
  /** The same for what the flush under way may not cover: when it is over, this is what stays open. */
  #openSinceNext: number | undefined;

  constructor(lossMaxMs: number) {
    this.#lossMaxMs = lossMaxMs;
  }

  /**
   * Asked before each acknowledgement. `ahead`: something is committed that no flush has taken. Times are monotonic
   * milliseconds.
   */
  isFull(ahead: boolean, isFlushing: boolean, now: number): boolean {
    if (ahead || isFlushing) this.#openSince ??= now;
    if (ahead && isFlushing) this.#openSinceNext ??= now;
    return this.#openSince !== undefined && now - this.#openSince >= this.#lossMaxMs;
  }

  /** Before a flush collects. */
  flushBegins(now: number): void {
    this.#openSince ??= now;
    this.#openSinceNext = undefined;
  }

  /** What it collected is durable. */
  flushEnded(): void {
    this.#openSince = this.#openSinceNext;
  }
}
