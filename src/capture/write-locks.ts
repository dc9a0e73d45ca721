/**
 * How often and for how long this host locked the application's writers out, in all databases: a writer without a busy
 * timeout then meets SQLITE_BUSY. No other part of capture delays a writer.
 */
import type { Histogram } from "../metrics/metrics.ts";

export class WriteLocks {
  count = 0;
  /** Milliseconds, of all together. */
  totalMs = 0;
  /** Milliseconds, of the longest. */
  maxMs = 0;
  readonly #seconds: Histogram;

  constructor(seconds: Histogram) {
    this.#seconds = seconds;
  }

  note(heldMs: number): void {
    this.count += 1;
    this.totalMs += heldMs;
    this.maxMs = Math.max(this.maxMs, heldMs);
    this.#seconds.observe(heldMs / 1_000);
  }
}
