import { describe, expect, test } from "bun:test";
import { SerialTask } from "../../src/host/serial-task.ts";

const unexpected = (error: unknown): void => {
  throw error;
};

describe("a serial task", () => {
  test("aborts the work in progress, and begins the next when that has really ended", async () => {
    const task = new SerialTask();
    const told: string[] = [];
    const ended = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    task.begin(async (signal) => {
      signal.addEventListener("abort", () => told.push("first aborted"));
      begun.resolve();
      await ended.promise;
      told.push("first ended");
    }, unexpected);
    await begun.promise;
    const second = Promise.withResolvers<void>();
    task.begin(() => {
      told.push("second begun");
      second.resolve();
      return Promise.resolve();
    }, unexpected);
    expect(told).toEqual(["first aborted"]);
    ended.resolve();
    await second.promise;
    expect(told).toEqual(["first aborted", "first ended", "second begun"]);
  });

  test("does not begin work that was replaced before its turn came", async () => {
    const task = new SerialTask();
    const told: string[] = [];
    task.begin(() => Promise.resolve(void told.push("first")), unexpected);
    task.begin(() => Promise.resolve(void told.push("second")), unexpected);
    const third = Promise.withResolvers<void>();
    task.begin(() => Promise.resolve(third.resolve()), unexpected);
    await third.promise;
    expect(told).toEqual([]);
  });

  test("tells what work throws, unless it was aborted", async () => {
    const task = new SerialTask();
    const failed = Promise.withResolvers<unknown>();
    task.begin(() => Promise.reject(new Error("EIO")), failed.resolve);
    expect(await failed.promise).toEqual(new Error("EIO"));
    const begun = Promise.withResolvers<void>();
    task.begin(
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(new Error("aborted")));
          begun.resolve();
        }),
      unexpected,
    );
    await begun.promise;
    await task.close("the host stops");
  });

  test("begins nothing after it is closed to new work, and lets the work in progress end", async () => {
    const task = new SerialTask();
    const told: string[] = [];
    const ended = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    task.begin(async () => {
      begun.resolve();
      await ended.promise;
      told.push("ended");
    }, unexpected);
    await begun.promise;
    task.closeToNew();
    ended.resolve();
    task.begin(() => Promise.resolve(void told.push("late")), unexpected);
    await task.close("the host stops");
    expect(told).toEqual(["ended"]);
  });
});
