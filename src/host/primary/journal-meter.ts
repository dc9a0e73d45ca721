/**
 * Times what waits for a journal: each record until it is durable, and each chunk of a response that is kept at the
 * gate. Chunks that pass the gate at once, like most reads, are not timed: they would hide how long a write waits for
 * its acknowledgement.
 */
import type { Counter, Histogram, Metrics } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { JournalOptions } from "./journal-options.ts";

export class JournalMeter {
  readonly #metrics: Metrics;
  readonly #clock: Clock;
  readonly #waits: Histogram;
  readonly #bytes: Counter;

  constructor(metrics: Metrics, clock: Clock) {
    this.#metrics = metrics;
    this.#clock = clock;
    this.#waits = metrics.histogram("stead_gate_wait_seconds", {});
    this.#bytes = metrics.counter("stead_journal_bytes_total", {});
  }

  onRecord({ kind, bytes, tookMs }: Parameters<JournalOptions["onRecord"]>[0]): void {
    this.#metrics.histogram("stead_journal_put_seconds", { record: kind }).observe(tookMs / 1_000);
    this.#bytes.add(bytes);
  }

  /** Passes the gate's answer on unchanged; a wait that never ended is not timed. */
  onGate(waited: void | Promise<void>): void | Promise<void> {
    if (waited === undefined) return undefined;
    const since = this.#clock.now();
    waited.then(
      () => this.#waits.observe((this.#clock.now() - since) / 1_000),
      () => undefined,
    );
    return waited;
  }
}
