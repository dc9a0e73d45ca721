import { expect, test } from "bun:test";
import { PieceMemory } from "../../../src/capture/files/piece-memory.ts";
import { filePieceBytes } from "../../../src/core/files/file-entry.ts";

test("memory is used again once it was given back, and by one piece at a time", () => {
  const memory = new PieceMemory();
  const [first, second] = [memory.take(filePieceBytes), memory.take(100_000)];
  expect([first.length, second.length]).toEqual([filePieceBytes, 100_000]);
  expect(second.buffer).not.toBe(first.buffer);
  memory.give(first.subarray(0, 99_000));
  const third = memory.take(70_000);
  expect([third.length, third.byteOffset]).toEqual([70_000, 0]);
  expect(third.buffer).toBe(first.buffer);
  expect(memory.take(70_000).buffer).not.toBe(first.buffer);
});

test("small pieces have memory of their size, and none is kept of them", () => {
  const memory = new PieceMemory();
  const small = memory.take(1_000);
  expect(small.buffer.byteLength).toBe(1_000);
  memory.give(small);
  expect(memory.take(1_000).buffer).not.toBe(small.buffer);
  expect(memory.take(filePieceBytes).buffer.byteLength).toBe(filePieceBytes);
});

test("no more than 8 MiB is kept", () => {
  const memory = new PieceMemory();
  const taken = Array.from({ length: 40 }, () => memory.take(filePieceBytes));
  for (const each of taken) memory.give(each);
  const given = new Set(taken.map(({ buffer }) => buffer));
  const again = taken.map(() => memory.take(filePieceBytes).buffer);
  expect(again.filter((buffer) => given.has(buffer))).toHaveLength(32);
});
