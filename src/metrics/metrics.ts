/**
 * The port for measurements. A part asks once for its counter or histogram, with labels, and keeps it, so that the cost
 * on the path of a request is one addition.
 *
 * Names, kinds and labels come from the tables (gateway-metrics.ts, host-metrics.ts) and are checked by the compiler. A
 * gauge is never updated: state that already exists elsewhere is read at each scrape (`show`), so that there is no
 * second copy to disagree. `src/core` does not know this port: its decisions are counted where they are performed.
 */
import type { Kind } from "./definition.ts";
import { gatewayMetrics } from "./gateway-metrics.ts";
import { hostMetrics } from "./host-metrics.ts";
import type { Tally } from "./tally.ts";

export const definitions = { ...gatewayMetrics, ...hostMetrics } as const;
type Table = typeof definitions;

export type MetricName<K extends Kind = Kind> = {
  [N in keyof Table]: Table[N]["kind"] extends K ? N : never;
}[keyof Table];
export type LabelOf<N extends MetricName> = Table[N]["labels"][number];
/** A value for each label of the metric. */
export type LabelsOf<N extends MetricName> = Readonly<Record<LabelOf<N>, string>>;
export type Sample<Label extends string> = readonly [labels: Readonly<Record<Label, string>>, value: number];

export interface Counter {
  /** At least 0; default 1. */
  add(amount?: number): void;
}

export interface Histogram {
  /** The value is in the unit of the name: seconds, not milliseconds. */
  observe(value: number): void;
  /** Adds the observations of another process. */
  merge(tally: Tally): void;
}

export interface Metrics {
  /** Returns the same counter for the same labels; it is exposed from now on, starting at 0. */
  counter<N extends MetricName<"counter">>(name: N, labels: LabelsOf<N>): Counter;
  histogram<N extends MetricName<"histogram">>(name: N, labels: LabelsOf<N>): Histogram;
  /** Replaces all samples of this metric until the next call. */
  show<N extends MetricName<"counter" | "gauge">>(name: N, samples: readonly Sample<LabelOf<N>>[]): void;
}

const nothing = { add: () => undefined, observe: () => undefined, merge: () => undefined };

/** Discards everything: for the simulation, and for tests that measure nothing. */
export const noMetrics: Metrics = { counter: () => nothing, histogram: () => nothing, show: () => undefined };
