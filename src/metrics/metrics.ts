/**
 * The port through which parts say what they measure. A part asks once for the counter or histogram that it needs, with
 * its labels, and keeps it: what stands on the way of a request is then an addition.
 *
 * Names, kinds and labels come from the tables (gateway-metrics.ts, host-metrics.ts) and are checked by the compiler. A
 * gauge is never kept up to date: what is a state already is shown when it is looked at (`show`), so that no second
 * copy of it can differ. `src/core` knows none of this: its decisions are counted where they are performed.
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
  /** In the unit of the name: seconds, not milliseconds. */
  observe(value: number): void;
  /** Takes in what another process has observed. */
  merge(tally: Tally): void;
}

export interface Metrics {
  /** The same one for the same labels; it is there from now on, with 0. */
  counter<N extends MetricName<"counter">>(name: N, labels: LabelsOf<N>): Counter;
  histogram<N extends MetricName<"histogram">>(name: N, labels: LabelsOf<N>): Histogram;
  /** These are its samples until the next call, and no others. */
  show<N extends MetricName<"counter" | "gauge">>(name: N, samples: readonly Sample<LabelOf<N>>[]): void;
}

const nothing = { add: () => undefined, observe: () => undefined, merge: () => undefined };

/** Keeps nothing: for the simulation, and for tests that measure nothing. */
export const noMetrics: Metrics = { counter: () => nothing, histogram: () => nothing, show: () => undefined };
