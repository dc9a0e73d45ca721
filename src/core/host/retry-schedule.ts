/**
 * When a host that could not stay primary may be asked again: one second later, twice that the next time, a minute at
 * most.
 *
 * Only healthy service as primary resets it. Time alone proves nothing, since a secondary does not run the application:
 * until then every gateway ranks this host last. An operator who restarts the host, or makes it restore, indicates that
 * the cause is fixed, and a successful rehearsal proves it: both clear the schedule.
 *
 * Pure; times are this host's monotonic milliseconds.
 */
export interface RetrySchedule {
  readonly reason: string;
  /** Failures in a row, at least 1. */
  readonly attempts: number;
  readonly nextAt: number;
}

export const retryDelayMs = { first: 1_000, most: 60_000 } as const;
/** A primary that served for this long was healthy: a later failure starts a new schedule. */
export const wellBeingMs = 10 * 60_000;

/**
 * Schedules the next try of a host that could not stay. `servedMs`: how long the application served clients before; 0:
 * never.
 */
export function scheduleRetry(
  before: RetrySchedule | undefined,
  reason: string,
  servedMs: number,
  now: number,
): RetrySchedule {
  const attempts = (afterService(before, servedMs)?.attempts ?? 0) + 1;
  return { reason, attempts, nextAt: now + delayAfter(attempts) };
}

/** Returns what remains of the schedule when a term ends that served for this long. */
export function afterService(schedule: RetrySchedule | undefined, servedMs: number): RetrySchedule | undefined {
  return servedMs >= wellBeingMs ? undefined : schedule;
}

/** Milliseconds until the next try; 0: the pause is over. */
export const retryInMs = (schedule: RetrySchedule, now: number): number => Math.max(0, schedule.nextAt - now);

/** Doubles without overflow: beyond a few doublings it is the longest delay anyway. */
function delayAfter(attempts: number): number {
  const doublings = Math.min(attempts - 1, 16);
  return Math.min(retryDelayMs.first * 2 ** doublings, retryDelayMs.most);
}
