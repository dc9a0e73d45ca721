import { expect, test } from "bun:test";
import { mapInOrder, inParallel } from "../../src/runtime/in-parallel.ts";

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

/** Work that ends when the test says so. */
class Works {
  readonly begun: number[] = [];
  readonly #ends = new Map<number, (failure?: Error) => void>();

  readonly run = (item: number): Promise<number> => {
    this.begun.push(item);
    return new Promise((resolve, reject) => {
      this.#ends.set(item, (failure) => (failure === undefined ? resolve(item * 10) : reject(failure)));
    });
  };

  end(item: number, failure?: Error): void {
    this.#ends.get(item)?.(failure);
  }
}

test("results come in the order of the items, while those behind them are prepared", async () => {
  const works = new Works();
  const results = mapInOrder(2, [1, 2, 3, 4], works.run);
  const first = results.next();
  await Promise.resolve();
  expect(works.begun).toEqual([1, 2]);
  works.end(2);
  works.end(1);
  expect(await first).toEqual({ done: false, value: 10 });
  expect(works.begun).toEqual([1, 2, 3]);
  expect(await results.next()).toEqual({ done: false, value: 20 });
  expect(works.begun).toEqual([1, 2, 3, 4]);
  works.end(4);
  works.end(3);
  expect([await results.next(), await results.next(), await results.next()]).toEqual([
    { done: false, value: 30 },
    { done: false, value: 40 },
    { done: true, value: undefined },
  ]);
});

test("a failure comes in its turn, after what is before it and once nothing is in progress", async () => {
  const works = new Works();
  const results = mapInOrder(3, [1, 2, 3, 4], works.run);
  const first = results.next();
  works.end(2, new Error("the second"));
  works.end(1);
  expect(await first).toEqual({ done: false, value: 10 });
  let isOver = false;
  const second = results.next().finally(() => (isOver = true));
  second.catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  works.end(3);
  works.end(4);
  await expect(second).rejects.toThrow("the second");
});

test("a caller that has enough waits for what is in progress", async () => {
  const works = new Works();
  const results = mapInOrder(2, [1, 2, 3], works.run);
  const first = results.next();
  works.end(1);
  await first;
  let isOver = false;
  const left = results.return(undefined).then(() => (isOver = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  works.end(2);
  works.end(3);
  await left;
});
