/**
 * Which checkpoints and which part of the log are still needed (R6); everything else may be removed.
 *
 * Needed are the newest `checkpointsMin` announced checkpoints, every point in time of the last `windowMs` (and so the
 * last checkpoint before the window, from which its first moment is reached), and the log after the oldest of those
 * checkpoints. Of older checkpoints those stay that the rules of `history` keep, without the log. Wall-clock times come
 * from different hosts and may go backwards: they can only cause more to be kept, and `checkpointsMin` holds without
 * them.
 */
import { type HistoryRule, thinOut } from "./checkpoint-history.ts";
import type { Rules } from "./rules.ts";

export interface RetentionPolicy {
  /** At least 1. */
  readonly checkpointsMin: number;
  /** Point-in-time restore reaches back this far; 0: no further than the checkpoints that are kept anyway. */
  readonly windowMs: number;
  /** Default: none. */
  readonly history?: readonly HistoryRule[] | undefined;
}

export interface RetentionCheckpoint {
  readonly position: number;
  /** Wall-clock time of the state, milliseconds since 1970. */
  readonly wallTimeMs: number;
  /** A `checkpoint` record named it, or a later announced one links to it. Position 0 counts as announced. */
  readonly announced: boolean;
}

export interface RetentionInput {
  /** All checkpoints with a manifest, in any order. */
  readonly checkpoints: readonly RetentionCheckpoint[];
  /** Position of the last record of the log. */
  readonly logPosition: number;
  readonly policy: RetentionPolicy;
  readonly nowMs: number;
  readonly rules: Rules;
}

export interface RetentionPlan {
  /** Records at positions up to this one may be removed, except `epoch` records; 0: none. */
  readonly boundary: number;
  /** Checkpoints that stay, ascending; without rules of a history, the oldest of them is at the boundary. */
  readonly kept: readonly number[];
  /** Manifests that may be removed, ascending. */
  readonly removed: readonly number[];
  /**
   * Chunks written up to this position may be removed if no kept checkpoint refers to them: that at the boundary.
   * A record after it may refer to a chunk of files that was written after it, and otherwise only to those that this
   * checkpoint has (checkpoint/retention.ts).
   */
  readonly chunksUpTo: number;
}

/** Throws RangeError for a policy that would keep nothing. */
export function planRetention(input: RetentionInput): RetentionPlan {
  const { checkpointsMin, windowMs } = input.policy;
  if (!Number.isInteger(checkpointsMin) || checkpointsMin < 1)
    throw new RangeError(`checkpointsMin is ${checkpointsMin}; at least 1 must be kept`);
  if (!(windowMs >= 0)) throw new RangeError(`windowMs is ${windowMs}; it cannot be negative`);
  const announced = input.checkpoints
    .filter((checkpoint) => checkpoint.announced)
    .sort((a, b) => a.position - b.position);
  const newest = announced.at(-1);
  if (newest === undefined) return { boundary: 0, kept: [], removed: [], chunksUpTo: -1 };
  const first = Math.min(
    firstForWindow(announced, input.nowMs - windowMs),
    Math.max(0, announced.length - checkpointsMin),
  );
  const older = thinOut(announced.slice(0, first), input.policy.history ?? [], input.nowMs);
  const kept = [...older, ...announced.slice(first)].map(({ position }) => position);
  const oldest = announced[first]?.position ?? newest.position;
  const boundary = input.rules.has("R6-checkpoint-before-delete") ? oldest : input.logPosition;
  const stays = new Set(kept);
  const removed = input.checkpoints
    .map(({ position }) => position)
    .filter((position) => position < newest.position && !stays.has(position));
  const chunksUpTo = input.rules.has("files-chunks-of-flushes") ? oldest : newest.position;
  return { boundary, kept, removed: removed.sort((a, b) => a - b), chunksUpTo };
}

/**
 * Returns the index of the checkpoint from which the whole window can be reached: the last one without a time inside
 * the window before it.
 */
function firstForWindow(ascending: readonly RetentionCheckpoint[], windowStartMs: number): number {
  const inside = ascending.findIndex(({ wallTimeMs }) => wallTimeMs > windowStartMs);
  return inside < 0 ? ascending.length - 1 : Math.max(0, inside - 1);
}
