import { expect, test } from "bun:test";
import { inParallel } from "../../src/runtime/in-parallel.ts";

test("runs at most so many at a time, and all of them", async () => {
  let [running, most, done] = [0, 0, 0];
  await inParallel(3, [...Array(20).keys()], async () => {
    most = Math.max(most, (running += 1));
    await Promise.resolve();
    running -= 1;
    done += 1;
  });
  expect([most, done]).toEqual([3, 20]);
  await inParallel(3, [], () => Promise.reject(new Error("nothing to do")));
});

test("the first failure stops the rest, and is thrown once those that run have ended", async () => {
  const ended: number[] = [];
  const all = inParallel(2, [...Array(10).keys()], async (item) => {
    if (item === 0) throw new Error("the first");
    await new Promise((resolve) => setImmediate(resolve));
    ended.push(item);
  });
  await expect(all).rejects.toThrow("the first");
  expect(ended).toEqual([1]);
});
