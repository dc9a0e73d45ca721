/**
 * The metrics of a process that is not scraped: observations since the last report go to the process that is scraped.
 */
import { type Counter, definitions, type Histogram, type LabelsOf, type MetricName, type Metrics } from "./metrics.ts";
import { Observed, type Tally } from "./tally.ts";

type Labels = Readonly<Record<string, string>>;

export type Delta =
  | { readonly kind: "counter"; readonly name: MetricName; readonly labels: Labels; readonly amount: number }
  | { readonly kind: "histogram"; readonly name: MetricName; readonly labels: Labels; readonly tally: Tally };

export class DeltaMetrics implements Metrics {
  readonly #counts = new Map<string, PendingCount>();
  readonly #tallies = new Map<string, PendingTally>();

  counter<N extends MetricName<"counter">>(name: N, labels: LabelsOf<N>): Counter {
    return getOrMake(this.#counts, name, labels, () => new PendingCount(name, labels));
  }

  histogram<N extends MetricName<"histogram">>(name: N, labels: LabelsOf<N>): Histogram {
    return getOrMake(this.#tallies, name, labels, () => new PendingTally(name, labels));
  }

  /** Gauges of such a process are in its reports. */
  show(): void {}

  /** Returns the counts and observations since the last call. */
  take(): Delta[] {
    return [...this.#counts.values(), ...this.#tallies.values()].flatMap((pending) => pending.take() ?? []);
  }
}

function getOrMake<Each>(all: Map<string, Each>, name: string, labels: Labels, make: () => Each): Each {
  const key = JSON.stringify([name, labels]);
  const known = all.get(key) ?? make();
  all.set(key, known);
  return known;
}

/**
 * Adds the counts and observations of another process. Both run the same program; a different kind or different buckets
 * throw.
 */
export function addDelta(metrics: Metrics, delta: Delta): void {
  const { kind, name, labels } = delta;
  if (definitions[name].kind !== kind) throw new TypeError(`${name} is no ${kind}`);
  if (kind === "counter") metrics.counter(name as MetricName<"counter">, labels).add(delta.amount);
  else metrics.histogram(name as MetricName<"histogram">, labels).merge(delta.tally);
}

class PendingCount implements Counter {
  readonly #name: MetricName<"counter">;
  readonly #labels: Labels;
  #amount = 0;

  constructor(name: MetricName<"counter">, labels: Labels) {
    this.#name = name;
    this.#labels = labels;
  }

  add(amount = 1): void {
    this.#amount += amount;
  }

  take(): Delta | undefined {
    const amount = this.#amount;
    this.#amount = 0;
    return amount === 0 ? undefined : { kind: "counter", name: this.#name, labels: this.#labels, amount };
  }
}

class PendingTally implements Histogram {
  readonly #name: MetricName<"histogram">;
  readonly #labels: Labels;
  readonly #observed: Observed;

  constructor(name: MetricName<"histogram">, labels: Labels) {
    this.#name = name;
    this.#labels = labels;
    this.#observed = new Observed(definitions[name].buckets);
  }

  observe(value: number): void {
    this.#observed.observe(value);
  }

  merge(tally: Tally): void {
    this.#observed.merge(tally);
  }

  take(): Delta | undefined {
    return this.#observed.isEmpty
      ? undefined
      : { kind: "histogram", name: this.#name, labels: this.#labels, tally: this.#observed.take() };
  }
}
