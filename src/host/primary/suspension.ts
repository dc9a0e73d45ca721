/**
 * Notices that the machine was suspended: the monotonic clock may have stood still meanwhile (CLOCK_MONOTONIC does), so
 * a lease that is long over looks good (R5).
 *
 * The calendar goes on, or is set right after the resume. When it is further ahead of the monotonic clock than it was
 * at the last put, the lease counts as over until the next put has succeeded; a calendar that was merely set costs one
 * put.
 *
 * What this cannot see: a paused virtual machine whose calendar stands still too. It may show reads, as they were when
 * it was paused, for what was left of its lease. No write is acknowledged without a put, and its next put is fenced.
 */
import type { Clock } from "../../runtime/clock.ts";

/** More than the calendar is slewed by within a lease, less than the margin that a successor waits on top of it. */
const wallJumpMsMax = 25;

/** Constant but for drift, steps of the calendar, and a suspended machine; milliseconds. */
export const wallAheadOf = (clock: Clock): number => clock.wallTime() - clock.now();

/** `wallAheadMs`: what `wallAheadOf` said before. */
export const wasSuspendedSince = (clock: Clock, wallAheadMs: number): boolean =>
  wallAheadOf(clock) - wallAheadMs > wallJumpMsMax;
