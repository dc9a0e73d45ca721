import { expect, test } from "bun:test";
import { SuccessMeter } from "../../harness/gap.ts";

function meterWith(...times: number[]): SuccessMeter {
  const meter = new SuccessMeter();
  for (const time of times) meter.success(time);
  return meter;
}

test("the longest gap of a window counts from the success before the window to the one after it", () => {
  expect(meterWith(0, 10, 90, 100).longestGap(20, 80)).toEqual({ ms: 80, fromMs: 10 });
});

test("gaps outside the window do not count", () => {
  expect(meterWith(0, 500, 510, 520, 530, 1000).longestGap(505, 525).ms).toBe(10);
});

test("a gap that has not ended counts up to the end of the window", () => {
  expect(meterWith(0, 10).longestGap(5, 300)).toEqual({ ms: 290, fromMs: 10 });
});

test("a window without any success before or in it counts whole", () => {
  expect(meterWith().longestGap(100, 300)).toEqual({ ms: 200, fromMs: 100 });
});

test("the histogram counts each success once", () => {
  expect(meterWith(0, 1, 5, 9.9, 10).histogram(0, 10, 2)).toEqual([2, 2]);
});
