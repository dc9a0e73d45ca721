import { describe, expect, test } from "bun:test";
import { leaseOverAt, mayRelease, renewDueAt } from "../../../src/core/host/lease.ts";

describe("the lease", () => {
  test("lets a primary release only within the lease from the start of its last put", () => {
    expect(mayRelease(1999, 1000, 1000)).toBe(true);
    expect(mayRelease(2000, 1000, 1000)).toBe(false);
  });

  test("is renewed after half of it", () => {
    expect(renewDueAt(1000, 1000)).toBe(1500);
  });

  test("of a predecessor is over a lease and the margin after the first sight of its last record", () => {
    expect(leaseOverAt({ lastRecordSeenAt: 5000, leaseMs: 1000 }, 100)).toBe(6100);
  });

  test("never overlaps: however long the put took, the old primary is silent when the new one serves", () => {
    // Old primary: put started at s, was in the log at s + d, and was read at r >= s + d. Rates differ by at most 5 %.
    for (let s = 0; s < 50; s += 7) {
      for (const delay of [0, 3, 200]) {
        for (const rate of [0.95, 1, 1.05]) {
          const readAt = s + delay;
          const newServesAt = leaseOverAt({ lastRecordSeenAt: readAt, leaseMs: 1000 }, 100);
          const oldReleasesUntil = s + 1000 * rate;
          expect(oldReleasesUntil).toBeLessThanOrEqual(newServesAt);
        }
      }
    }
  });
});
