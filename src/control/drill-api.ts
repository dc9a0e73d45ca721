/** Drills in the admin API of gateways and the control API of hosts. */
import * as v from "valibot";
import { dueTimePattern } from "../core/due-time.ts";
import { drillKinds, drillMsMax, drillMsMin } from "../core/failover/drill.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const milliseconds = v.pipe(v.number(), v.minValue(0));
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(100));

export const drillMsDefault = 15_000;
const forMs = v.optional(v.pipe(count, v.minValue(drillMsMin), v.maxValue(drillMsMax)), drillMsDefault);

export const drillRequestSchema = v.strictObject({
  service: v.optional(name),
  kind: v.picklist(drillKinds),
  /** How long a hang or a partition lasts. */
  forMs,
});
export type DrillRequest = v.InferInput<typeof drillRequestSchema>;

/** Once, at the next such time in UTC: `Sun 03:00` or `03:00`. */
export const drillPlanRequestSchema = v.strictObject({
  service: v.optional(name),
  kind: v.picklist(drillKinds),
  forMs,
  at: v.pipe(v.string(), v.regex(dueTimePattern)),
});
export type DrillPlanRequest = v.InferInput<typeof drillPlanRequestSchema>;

export const drillCancelRequestSchema = v.strictObject({ service: v.optional(name) });
export type DrillCancelRequest = v.InferInput<typeof drillCancelRequestSchema>;

/** To the primary. */
export const hostDrillRequestSchema = v.object({ kind: v.picklist(["kill", "hang", "partition"]), forMs });
export type HostDrillRequest = v.InferOutput<typeof hostDrillRequestSchema>;
export const hostDrillDoneSchema = v.object({
  /** When it ends by itself; 0: it ends this process at once. */
  endsInMs: milliseconds,
});
export type HostDrillDone = v.InferOutput<typeof hostDrillDoneSchema>;

/** One drill. Durations are milliseconds; null: unknown, or not measured. */
export const drillEntrySchema = v.object({
  id: v.string(),
  service: v.string(),
  /** kill, hang, switchover or partition; a peer of a newer version may have others. */
  kind: v.string(),
  gateway: v.string(),
  /** The name of the token with which it was ordered, or `secret`. */
  orderedBy: v.string(),
  startedAtMs: count,
  /** Of a planned one; null: it was ordered. */
  dueAtMs: v.optional(v.nullable(count), null),
  /**
   * ordered, running, passed, missed (it took longer than the objective), failed, refused (a planned one that was not
   * safe) or interrupted.
   */
  outcome: v.string(),
  from: v.nullable(v.string()),
  to: v.nullable(v.string()),
  /** Of the failover that it caused; null: the same host continued. */
  failover: v.nullable(v.string()),
  predictedMs: v.nullable(milliseconds),
  rtoMs: v.nullable(milliseconds),
  /** `clients`: the longest time without a success; `phases`: no traffic, the sum of the failover's phases. */
  measuredBy: v.nullable(v.string()),
  objectiveMs: v.nullable(milliseconds),
  detail: v.string(),
  /** How much of what was acknowledged is lost, in time: 0 if nothing is. */
  rpoMs: v.optional(v.nullable(milliseconds), null),
  /** Writes of the probe that were acknowledged, and those of them that are lost. */
  probeWrites: v.optional(v.nullable(count), null),
  probeLost: v.optional(v.nullable(count), null),
  /**
   * What was expected and measured, by phase: null where one of them is unknown. `rest` is what clients waited beyond
   * the phases; it is negative where they were served in some of them.
   */
  phases: v.optional(
    v.array(v.object({ phase: v.string(), expectedMs: v.nullable(v.number()), measuredMs: v.nullable(v.number()) })),
    [],
  ),
});
export type DrillEntry = v.InferOutput<typeof drillEntrySchema>;

/** A drill that the configuration plans or that was ordered for a time, and when it is due next. */
export const plannedDrillSchema = v.object({
  service: v.string(),
  kind: v.string(),
  at: v.string(),
  nextAtMs: count,
  /** The name of the token with which it was ordered, or `secret`; absent: the configuration plans it. */
  orderedBy: v.optional(v.string()),
});
export type PlannedDrillEntry = v.InferOutput<typeof plannedDrillSchema>;

/** Of one service; null: none. */
export const drillSummarySchema = v.object({
  /** The newest that has ended; one that was due and not safe has the outcome `refused`. */
  last: v.nullable(drillEntrySchema),
  /** The one that is due first, of the configuration or ordered for a time. */
  next: v.nullable(plannedDrillSchema),
});
export type DrillSummary = v.InferOutput<typeof drillSummarySchema>;

export const drillListSchema = v.object({
  drills: v.array(drillEntrySchema),
  planned: v.optional(v.array(plannedDrillSchema), []),
});
export type DrillList = v.InferOutput<typeof drillListSchema>;
