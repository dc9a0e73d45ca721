/** Slows a checkpoint down, so that it leaves the disk and the thread pool to concurrent commits. */
import type { Clock } from "../../runtime/clock.ts";

/**
 * Returns a `pace` for `writeCheckpoint` (with `concurrency: 1`) that leaves the vault idle for a part of the time:
 * after each chunk it waits for the chunk's duration times (1 - share) / share. `share` is above 0 and at most 1 (no
 * pause).
 */
export function pacedBy(clock: Clock, share: number, signal?: AbortSignal): (bytes: number) => Promise<void> {
  if (!(share > 0 && share <= 1)) throw new RangeError(`share is ${share}, not above 0 and at most 1`);
  let resumedAtMs: number | undefined;
  return async () => {
    const busyMs = resumedAtMs === undefined ? 0 : clock.now() - resumedAtMs;
    if (busyMs > 0 && share < 1) await clock.sleep((busyMs * (1 - share)) / share, signal);
    resumedAtMs = clock.now();
  };
}
