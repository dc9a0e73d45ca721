/**
 * What the vault of a service can be restored to: checkpoints, and the moments that `stead vault restore --time`
 * reaches. Part of the control API and of the admin API.
 */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

const moment = v.object({
  position: count,
  /** By the wall clock of the host that wrote it, in milliseconds since 1970. */
  wallTimeMs: v.number(),
});

export const checkpointPointSchema = v.object({
  ...moment.entries,
  databases: count,
  /** Of its databases: what a restore needs on the disk. */
  bytes: count,
});
export type CheckpointPoint = v.InferOutput<typeof checkpointPointSchema>;

export const restorePointsSchema = v.object({
  /** Checkpoints from which a restore can begin, also those that are not listed. */
  total: count,
  /** The newest ones, newest first; bounded. */
  checkpoints: v.array(checkpointPointSchema),
  /** Positions of the newest checkpoints whose manifest is damaged: a restore begins at an older one instead. */
  damaged: v.array(count),
  /** The first moment that can be restored; null: there is no checkpoint. */
  earliest: v.nullable(moment),
  /** Kept beyond that, each restored by its position or exact time alone, newest first; a host may not tell. */
  older: v.optional(v.array(moment), []),
  /** The end of the log as this host knows it, and when it saw it by its own wall clock; null: not in this run. */
  latest: v.nullable(moment),
  /** What retention keeps at least: so many checkpoints, and every moment of so long; `older` besides. */
  keep: v.object({ checkpoints: count, windowMs: v.pipe(v.number(), v.minValue(0)) }),
});
export type RestorePoints = v.InferOutput<typeof restorePointsSchema>;

/** `host`: the one that has read the vault. */
export const restorePointsAnswerSchema = v.object({
  service: v.string(),
  host: v.string(),
  ...restorePointsSchema.entries,
});
export type RestorePointsAnswer = v.InferOutput<typeof restorePointsAnswerSchema>;
