/**
 * Counts and times a service's failovers as they end. One failover is reported several times, finally when the new
 * primary has the traffic: it and each of its phases count once. Unlike the list in the status, a count forgets
 * nothing.
 */
import type { Failover, FailoverOutcome } from "../../core/failover/state.ts";
import type { Counter, Histogram, Metrics } from "../../metrics/metrics.ts";

interface Ended {
  readonly key: number;
  readonly outcome: FailoverOutcome;
  readonly timed: ReadonlySet<string>;
}

export class FailoverMeter {
  readonly #metrics: Metrics;
  readonly #service: string;
  readonly #done: Counter;
  readonly #gap: Histogram;
  /** One service has one failover at a time. */
  #last: Ended | undefined;

  constructor(metrics: Metrics, service: string) {
    this.#metrics = metrics;
    this.#service = service;
    this.#done = metrics.counter("stead_failovers_total", { service });
    this.#gap = metrics.histogram("stead_failover_gap_seconds", { service });
    for (const outcome of ["recovered", "overtaken", "refused"])
      metrics.counter("stead_failovers_abandoned_total", { service, outcome });
  }

  count({ key, phases }: Failover, outcome: FailoverOutcome): void {
    if (outcome === "running") return;
    const before = this.#last?.key === key ? this.#last : undefined;
    const service = this.#service;
    if (outcome === "done" && before?.outcome !== "done") this.#done.add();
    if (outcome !== "done" && before === undefined)
      this.#metrics.counter("stead_failovers_abandoned_total", { service, outcome }).add();
    const timed = new Set(before?.timed);
    for (const [phase, ms] of outcome === "done" ? Object.entries(phases) : []) {
      if (ms === undefined || timed.has(phase)) continue;
      timed.add(phase);
      this.#metrics.histogram("stead_failover_phase_seconds", { service, phase: snakeCase(phase) }).observe(ms / 1_000);
    }
    this.#last = { key, outcome, timed };
  }

  gap(ms: number): void {
    this.#gap.observe(ms / 1_000);
  }
}

/** As in the columns of the failovers table: `catch_up`. */
const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
