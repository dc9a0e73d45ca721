/**
 * Async durability: how long acknowledgements may leave before the acknowledged writes are durable.
 *
 * Counted from a moment at or before the first acknowledgement that is not durable yet, over any number of flushes: a
 * write acknowledged during a slow flush, and not in it, has been open since then and not since the end of that flush.
 */
export class LossWindow {
  readonly #lossMaxMs: number;
  #openSince: number | undefined;
  /** Same for writes that the flush in progress may not cover: they stay open when it is over. */
  #openSinceNext: number | undefined;

  constructor(lossMaxMs: number) {
    this.#lossMaxMs = lossMaxMs;
  }

  /**
   * Called before each acknowledgement. `ahead`: something is committed that no flush has taken. Times are monotonic
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
