import { describe, expect, test } from "bun:test";
import { type BucketUse, monthlyCost } from "../../src/s3/monthly-cost.ts";

const prices = { puts: 0.005, gets: 0.0004, storage: 0.023 };
const idle: BucketUse = {
  ...{ leaseMs: 4000, pollMs: 250, secondaries: 1, putMs: 20, commitsPerSecond: 0, commitBytes: 8192 },
  ...{ databaseBytes: 1e9, keepMin: 2, windowMs: 3_600_000 },
};

describe("a month of a bucket", () => {
  test("of an idle service is renewals, looks, and tries whether it can be written", () => {
    const { puts, gets, bytes, usd } = monthlyCost(idle, prices);
    expect(puts).toBe(2_592_000 * (0.5 + 0.2));
    expect(gets).toBe(2_592_000 * (4 + 0.5));
    expect(bytes).toBe(2e9);
    expect(usd.all).toBeCloseTo(9.07 + 4.67 + 0.05, 1);
  });

  test("has as many puts as commits, until puts are so slow that commits share them", () => {
    const putsOf = (change: Partial<BucketUse>): number =>
      monthlyCost({ ...idle, secondaries: 0, ...change }, prices).puts;
    expect(putsOf({ commitsPerSecond: 10 })).toBe(25_920_000);
    expect(putsOf({ commitsPerSecond: 1000 })).toBe(2_592_000 * 50);
    expect(putsOf({ commitsPerSecond: 1000, putMs: 40 })).toBe(2_592_000 * 25);
  });

  test("never has fewer puts than the lease needs", () => {
    expect(monthlyCost({ ...idle, secondaries: 0, commitsPerSecond: 0.1 }, prices).puts).toBe(1_296_000);
  });

  test("keeps the log of the window beside the checkpoints", () => {
    expect(monthlyCost({ ...idle, commitsPerSecond: 10 }, prices).bytes).toBe(2e9 + 10 * 8192 * 3600);
  });
});
