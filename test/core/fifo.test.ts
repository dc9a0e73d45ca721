import { expect, test } from "bun:test";
import { Fifo } from "../../src/core/fifo.ts";

test("gives back what it got, in the same order, however pushes and shifts are mixed", () => {
  const fifo = new Fifo<number>();
  const got: number[] = [];
  let pushed = 0;
  for (let round = 1; round <= 200; round++) {
    for (let count = 0; count < (round * 7) % 31; count++) fifo.push((pushed += 1));
    expect(fifo.first).toBe(fifo.size === 0 ? undefined : got.length + 1);
    for (let count = 0; count < (round * 5) % 29 && fifo.size > 0; count++) got.push(fifo.shift() as number);
    expect(fifo.size).toBe(pushed - got.length);
  }
  expect([...fifo].at(-1)).toBe(fifo.size === 0 ? undefined : pushed);
  while (fifo.size > 0) got.push(fifo.shift() as number);
  expect([got, fifo.shift(), fifo.first]).toEqual([
    Array.from({ length: pushed }, (_, at) => at + 1),
    undefined,
    undefined,
  ]);
});

test("forgets what it gave back, and keeps what a filter says, also after many steps", () => {
  const fifo = new Fifo<number>();
  for (let item = 0; item < 5_000; item++) fifo.push(item);
  for (let count = 0; count < 4_000; count++) fifo.shift();
  fifo.filter((item) => item % 100 === 0);
  expect([...fifo]).toEqual([4_000, 4_100, 4_200, 4_300, 4_400, 4_500, 4_600, 4_700, 4_800, 4_900]);
  expect([fifo.size, fifo.first]).toEqual([10, 4_000]);
});
