/**
 * How often and for how long this host kept the application's writers out, in all databases: a writer without a busy
 * timeout meets SQLITE_BUSY then. Nothing else that capture does makes a writer wait.
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
