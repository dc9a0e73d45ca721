/**
 * R5, the lease: writes need no clock, reads do.
 *
 * A primary P releases bytes only at times t with t < s + L, where s is when the last put that succeeded was *started*
 * and L the lease. That put lies in the log at some time ≥ s. Whoever claims after P has read P's last record first, at
 * a time r ≥ s on its own clock, and serves only from r + L + margin on. All bytes of P are released before s + L ≤ r + L.
 * Only the rate of the two clocks over one lease matters; the margin covers it.
 */

/** True while a primary may release bytes. All times are the primary's monotonic milliseconds. */
export function mayRelease(now: number, lastPutStartedAt: number, leaseMs: number): boolean {
  return now < lastPutStartedAt + leaseMs;
}

/** When a primary should put a `renew`: it has put nothing for half a lease. */
export function renewDueAt(lastPutStartedAt: number, leaseMs: number): number {
  return lastPutStartedAt + leaseMs / 2;
}

/** What a claimant knows about the primary before it. */
export type Predecessor =
  /** The log held no epoch before this claim. */
  | { readonly kind: "none" }
  /** Its `vacate` record is the last before the claim: it releases nothing any more. */
  | { readonly kind: "vacated" }
  /** `lastRecordSeenAt`: when this host first saw the last record before its claim, on this host's monotonic clock. */
  | { readonly kind: "leased"; readonly lastRecordSeenAt: number; readonly leaseMs: number };

/** Monotonic time from which the claimant may serve, unless the predecessor is proven gone before. */
export function servesFrom(claimedAt: number, predecessor: Predecessor, driftMarginMs: number): number {
  switch (predecessor.kind) {
    case "none":
    case "vacated":
      return claimedAt;
    case "leased":
      return Math.max(claimedAt, predecessor.lastRecordSeenAt + predecessor.leaseMs + driftMarginMs);
  }
}
