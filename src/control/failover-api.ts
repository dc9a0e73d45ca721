/** Failovers in the admin API (gateway-api.ts): what happened, phase by phase, and what would happen. */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const milliseconds = v.pipe(v.number(), v.minValue(0));

/** A phase on a time axis; `startMs` counts from the decision, and is negative before it. */
export const phaseSpanSchema = v.object({ phase: v.string(), startMs: v.number(), ms: milliseconds });

/**
 * One failover or switchover as its gateway recorded it. Durations are milliseconds; null: the phase did not happen.
 */
export const failoverEntrySchema = v.object({
  id: v.string(),
  service: v.string(),
  gateway: v.string(),
  /** kill, hang, stepped-down, impaired, switchover, rewind, forced or first; a newer peer may have others. */
  kind: v.string(),
  /** running, done, recovered, overtaken, refused or interrupted; a peer of a newer version may have others. */
  outcome: v.string(),
  from: v.nullable(v.string()),
  to: v.nullable(v.string()),
  epochFrom: count,
  epochTo: v.nullable(count),
  attempts: count,
  decidedAtMs: count,
  phases: v.object({
    detect: v.nullable(milliseconds),
    agree: v.nullable(milliseconds),
    demote: v.nullable(milliseconds),
    claim: v.nullable(milliseconds),
    lease: v.nullable(milliseconds),
    catchUp: v.nullable(milliseconds),
    start: v.nullable(milliseconds),
    route: v.nullable(milliseconds),
    wait: v.nullable(milliseconds),
    retry: v.nullable(milliseconds),
  }),
  /** The longest time without a success, as seen by this gateway's clients; null: no traffic, or not over yet. */
  gapMs: v.nullable(milliseconds),
  /** When that time began, on the axis of `timeline`. */
  gapStartMs: v.optional(v.nullable(v.number()), null),
  /** The phases on one time axis, in the order in which they ended; empty: recorded by an earlier version. */
  timeline: v.optional(v.array(phaseSpanSchema), []),
  /** The gap that was expected at the decision; null: unknown. */
  predictedMs: v.optional(v.nullable(milliseconds), null),
  /** What ended the primary; null: nothing that could recur. */
  cause: v.optional(v.nullable(v.string()), null),
});
export type FailoverEntry = v.InferOutput<typeof failoverEntrySchema>;

/** What clients would wait if the primary ended so now, phase by phase. */
export const predictionSchema = v.object({
  /** kill, hang (also: behind a partition) or switchover. */
  kind: v.string(),
  host: v.string(),
  gapMs: milliseconds,
  phases: v.array(
    v.object({
      phase: v.string(),
      startMs: v.number(),
      /** Of `rest` also negative. */
      ms: v.number(),
      /** measured, measured elsewhere, rehearsed, configured or assumed. */
      source: v.string(),
      /** The number of failovers that were measured. */
      failovers: count,
    }),
  ),
});

export const dryRunAnswerSchema = v.object({
  service: v.string(),
  phase: v.string(),
  primary: v.nullable(v.string()),
  epoch: count,
  wouldPromote: v.nullable(v.string()),
  /** The candidates, best first. */
  order: v.array(v.string()),
  /** Why unhealthy candidates in `order` come after the others. */
  but: v.optional(v.array(v.object({ host: v.string(), why: v.string() })), []),
  whyNot: v.array(v.object({ host: v.string(), why: v.string() })),
  obstacles: v.array(v.string()),
  /** What `--force` may lose. */
  forceMayLose: v.string(),
  /** The expected gap for each way in which the primary can end; empty: no host could take over. */
  expected: v.optional(v.array(predictionSchema), []),
});
export type DryRunAnswer = v.InferOutput<typeof dryRunAnswerSchema>;
