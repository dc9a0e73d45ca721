/**
 * Rewinding: an earlier state of a service becomes its state again. Part of the control API and of the admin API.
 *
 * A plan says which state that would be, and what is undone by it. A host prepares a rewind (it restores the state into
 * a folder of its own while it serves), and carries it out with the order to step down that names what it prepared.
 */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const wallTime = v.number();

/** The state after this record of the log, or at this wall-clock time, in milliseconds since 1970. */
export const rewindMomentSchema = v.variant("kind", [
  v.object({ kind: v.literal("position"), position: count }),
  v.object({ kind: v.literal("time"), wallTimeMs: v.pipe(v.number(), v.minValue(0)) }),
]);
export type RewindMoment = v.InferOutput<typeof rewindMomentSchema>;

export const rewindPlanSchema = v.object({
  /** The state that becomes the service's again: the one after this record, written then. */
  to: v.object({ position: count, epoch: count, wallTimeMs: wallTime }),
  /** The end of the log when the plan was made. */
  end: v.object({ position: count, wallTimeMs: wallTime }),
  /** What would be undone. */
  undone: v.object({
    /** Each has the commits of one or more transactions. */
    flushes: count,
    /** Of pages and files in them. */
    bytes: count,
    /** Of the first and the last one; null: there is none. */
    firstMs: v.nullable(wallTime),
    lastMs: v.nullable(wallTime),
    /** The ones with the most pages first; bounded. */
    databases: v.array(v.object({ name: v.string(), pages: count })),
    /** Also those that are not listed. */
    databasesTotal: count,
    /** Changes of files, links and folders beside the databases. */
    fileChanges: count,
  }),
  /** For how long at least the state of now can be gone back to: host.checkpoint.window. */
  keptForMs: v.pipe(v.number(), v.minValue(0)),
});
export type RewindPlan = v.InferOutput<typeof rewindPlanSchema>;

/** Request to plan or to prepare a rewind. */
export const rewindHostRequestSchema = v.object({ moment: rewindMomentSchema });
export type RewindHostRequest = v.InferOutput<typeof rewindHostRequestSchema>;

/** An order to step down names it, within `validMs`. */
export const rewindPreparedSchema = v.object({
  id: v.string(),
  validMs: v.pipe(v.number(), v.minValue(0)),
  plan: rewindPlanSchema,
});
export type RewindPrepared = v.InferOutput<typeof rewindPreparedSchema>;

/** Request to a gateway. */
export const rewindRequestSchema = v.strictObject({
  service: v.optional(v.string()),
  moment: rewindMomentSchema,
  dryRun: v.optional(v.boolean(), false),
});
export type RewindRequest = v.InferInput<typeof rewindRequestSchema>;

/** A gateway's answer. */
export const rewindAnswerSchema = v.object({
  service: v.string(),
  /** False: nothing was changed, as asked. */
  done: v.boolean(),
  /** Of a rewind that is done: as it was prepared; what was committed until the primary stepped down is undone too. */
  plan: rewindPlanSchema,
  /** Of the flush that made it; null: not done. */
  position: v.nullable(count),
  /** The last record that is undone; null: not done. */
  undoneTo: v.nullable(count),
  primary: v.nullable(v.string()),
  epoch: count,
});
export type RewindAnswer = v.InferOutput<typeof rewindAnswerSchema>;

/** The last rewind that a host has read of in the log. */
export const rewoundSchema = v.object({
  /** Of the flush that made it. */
  position: count,
  /** When it was written, by its writer's clock. */
  atMs: wallTime,
  to: v.object({ position: count, wallTimeMs: wallTime }),
  /** The last record that it has undone. */
  undoneTo: count,
});
export type RewoundStatus = v.InferOutput<typeof rewoundSchema>;
