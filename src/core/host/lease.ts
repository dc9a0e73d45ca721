/**
 * R5, the lease: writes need no clock, reads do.
 *
 * A primary P releases bytes only at times t with t < s + L, where s is when the last put that succeeded was *started*
 * and L the lease. That put appears in the log at some time ≥ s. The claimant after P has read P's last record first,
 * at a time r ≥ s on its own clock, and serves only from r + L + margin on. All bytes of P are released before s + L ≤
 * r + L. Only the rate of the two clocks over one lease matters; the margin covers it.
 *
 * P is every claim before one's own, not only the last: P1 hangs, P2 claims and dies before it has served, and P3
 * claims. That P2 is gone, or has written `vacate`, says nothing about P1, whose lease P2 was still waiting for
 * (simulation, seed 105697). A reader that starts at a checkpoint does not see the claims before the checkpoint's own,
 * and need not: only a serving primary writes a checkpoint, and it had waited for all earlier claims.
 */

/**
 * The bounds of every lease. No configuration has another, so a claim that names another was not written by a host: it
 * is refused as damaged. Shortening it instead would be unsafe if a host had it after all, and waiting for it would
 * stop the service for as long.
 */
export const leaseMsMin = 100;
export const leaseMsMax = 60_000;

/** True while a primary may release bytes. All times are the primary's monotonic milliseconds. */
export function mayRelease(now: number, lastPutStartedAt: number, leaseMs: number): boolean {
  return now < lastPutStartedAt + leaseMs;
}

/** Returns when a primary should put a `renew`: it has put nothing for half a lease. */
export function renewDueAt(lastPutStartedAt: number, leaseMs: number): number {
  return lastPutStartedAt + leaseMs / 2;
}

/** A claim before one's own, whose owner may still release bytes. Times are this host's monotonic milliseconds. */
export interface OpenLease {
  /** When this host first saw the last record of that epoch. */
  readonly lastRecordSeenAt: number;
  readonly leaseMs: number;
}

/** Returns when its owner stops releasing bytes, whatever it does. */
export function leaseOverAt(lease: OpenLease, driftMarginMs: number): number {
  return lease.lastRecordSeenAt + lease.leaseMs + driftMarginMs;
}
