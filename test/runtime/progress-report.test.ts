import { expect, test } from "bun:test";
import type { Clock } from "../../src/runtime/clock.ts";
import { bytesInWords, ProgressReport, progressInWords, workProgress } from "../../src/runtime/progress-report.ts";

const mebibyte = 1024 ** 2;

test("bytes have a unit and few digits", () => {
  expect([0, 900, 4.2 * mebibyte, 318 * mebibyte, 1_010 * mebibyte].map(bytesInWords)).toEqual([
    "0 B",
    "900 B",
    "4.2 MiB",
    "318 MiB",
    "1.0 GiB",
  ]);
});

test("rate and time left follow from what is done", () => {
  expect(progressInWords(workProgress(100 * mebibyte, 400 * mebibyte, 10_000))).toBe(
    "100 MiB of 400 MiB, 10 MiB/s, about 30 s left",
  );
  expect(progressInWords(workProgress(10 * mebibyte, 4_000 * mebibyte, 10_000))).toEndWith("about 67 min left");
  expect(progressInWords(workProgress(0, mebibyte, 10_000))).toBe("0 B of 1.0 MiB");
});

test("records are counted as records", () => {
  expect(progressInWords(workProgress(1_200, 5_000, 4_000), "records")).toBe(
    "1200 of 5000 records, 300 records/s, about 13 s left",
  );
});

test("reports come at intervals, and none for work that is soon over", () => {
  let now = 0;
  const said: string[] = [];
  const clock = { now: () => now } as Clock;
  const progress = new ProgressReport({ what: "copying", clock, say: (text) => said.push(text), everyMs: 1_000 });
  progress.reached(mebibyte, 4 * mebibyte);
  now = 1_000;
  progress.reached(2 * mebibyte, 4 * mebibyte);
  now = 1_500;
  progress.reached(3 * mebibyte, 4 * mebibyte);
  now = 2_000;
  progress.reached(4 * mebibyte, 4 * mebibyte);
  expect(said).toEqual(["copying: 2.0 MiB of 4.0 MiB, 2.0 MiB/s, about 1 s left"]);
});
