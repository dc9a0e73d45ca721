import { describe, expect, test } from "bun:test";
import {
  afterService,
  scheduleRetry,
  retryInMs,
  type RetrySchedule,
  wellBeingMs,
} from "../../../src/core/host/retry-schedule.ts";

const failAtOnce = (before: RetrySchedule | undefined, now: number): RetrySchedule =>
  scheduleRetry(before, "port in use", 0, now);

describe("the next try of a host that could not stay primary", () => {
  test("comes after a second, then after twice that, and after a minute at most", () => {
    const delays: number[] = [];
    let schedule: RetrySchedule | undefined;
    for (let times = 0; times < 9; times += 1) {
      schedule = failAtOnce(schedule, 500);
      delays.push(retryInMs(schedule, 500));
    }
    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    for (let times = 0; times < 5_000; times += 1) schedule = failAtOnce(schedule, 500);
    expect(schedule).toMatchObject({ attempts: 5_009, reason: "port in use", nextAt: 60_500 });
  });

  test("is never before the present, however much time has passed", () => {
    expect(retryInMs(failAtOnce(undefined, 0), 1_000)).toBe(0);
    expect(retryInMs(failAtOnce(undefined, 0), 50_000)).toBe(0);
  });

  test("starts again at a second when the host was healthy as primary for ten minutes, and not before", () => {
    const third = failAtOnce(failAtOnce(failAtOnce(undefined, 0), 0), 0);
    expect(scheduleRetry(third, "again", wellBeingMs - 1, 0).attempts).toBe(4);
    expect(scheduleRetry(third, "again", wellBeingMs, 0).attempts).toBe(1);
  });

  test("is forgotten when a term ends that was healthy, and kept when it was short", () => {
    const once = failAtOnce(undefined, 0);
    expect(afterService(once, wellBeingMs)).toBeUndefined();
    expect(afterService(once, wellBeingMs - 1)).toEqual(once);
  });
});
