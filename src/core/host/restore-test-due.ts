/**
 * When a secondary's restore test is due. One that was missed is not made up for, but for a short time: the host may
 * have been the primary, or restarted, at that moment.
 */
import { type DueTime, lastDue } from "../due-time.ts";

export type RestoreTestSchedule =
  | { readonly kind: "at"; readonly at: DueTime }
  | { readonly kind: "every"; readonly everyMs: number };

const lateMsMax = 60 * 60_000;

/** `lastAtMs`: when the last one began; undefined: there was none. All by the wall clock. */
export function isRestoreTestDue(
  schedule: RestoreTestSchedule,
  lastAtMs: number | undefined,
  wallTimeMs: number,
): boolean {
  if (schedule.kind === "every") return lastAtMs === undefined || wallTimeMs - lastAtMs >= schedule.everyMs;
  const dueAtMs = lastDue(schedule.at, wallTimeMs);
  return wallTimeMs - dueAtMs <= lateMsMax && (lastAtMs ?? -Infinity) < dueAtMs;
}
