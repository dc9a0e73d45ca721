/**
 * Detects that the machine was suspended: the monotonic clock may have stood still meanwhile (CLOCK_MONOTONIC does), so
 * a lease that is long over looks valid (R5).
 *
 * The wall clock continues, or is corrected after the resume. If it is further ahead of the monotonic clock than at the
 * last put, the lease counts as over until the next put has succeeded; a wall clock that was merely set costs one put.
 *
 * What this cannot detect: a paused virtual machine whose wall clock stands still too. It may serve reads, as of the
 * pause, for the rest of its lease. No write is acknowledged without a put, and its next put is fenced.
 */
import type { Clock } from "../../runtime/clock.ts";

/** More than the wall clock is slewed by within a lease, less than the margin that a successor waits in addition. */
const wallJumpMsMax = 25;

/** Constant except for drift, steps of the wall clock, and a suspended machine; milliseconds. */
export const wallAheadOf = (clock: Clock): number => clock.wallTime() - clock.now();

/** `wallAheadMs`: an earlier result of `wallAheadOf`. */
export const wasSuspendedSince = (clock: Clock, wallAheadMs: number): boolean =>
  wallAheadOf(clock) - wallAheadMs > wallJumpMsMax;
