import { expect, test } from "bun:test";
import { faultOfStamp, stampAheadMsMax, stampCounterMax, stampMs } from "../../../src/core/replication/row.ts";

const stamp = (ms: number, counter: number): string =>
  `${String(ms).padStart(15, "0")}-${String(counter).padStart(8, "0")}`;

test("a stamp may be as far ahead as is allowed, and not a millisecond more", () => {
  expect(stampMs(stamp(1_000, 7))).toBe(1_000);
  expect(faultOfStamp(stamp(1_000 + stampAheadMsMax, 0), 1_000)).toBeUndefined();
  expect(faultOfStamp(stamp(1_001 + stampAheadMsMax, 0), 1_000)).toBe("ahead");
});

test("a counter that no clock reaches is a fault, whatever the time", () => {
  expect(faultOfStamp(stamp(1_000, stampCounterMax - 1), 1_000)).toBeUndefined();
  expect(faultOfStamp(stamp(1_000, stampCounterMax), 1_000)).toBe("counter");
});
