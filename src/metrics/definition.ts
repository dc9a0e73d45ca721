/**
 * The definition of a metric: one line of the tables (gateway-metrics.ts, host-metrics.ts), of the exposition and of
 * docs/METRICS.md.
 */

export type Kind = "counter" | "gauge" | "histogram";

export interface Definition {
  readonly kind: Kind;
  /** The meaning of a sample, in one sentence. */
  readonly help: string;
  readonly labels: readonly string[];
  /** For a histogram: upper bounds, ascending, in the unit of the name. */
  readonly buckets?: readonly number[];
}

export type Definitions = Readonly<Record<string, Definition>>;

/** Seconds: durations of a machine's work, from a memory access to a hanging disk. */
export const workBuckets = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;
/** Seconds: durations that clients wait, finest where failovers end. */
export const waitBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60] as const;
