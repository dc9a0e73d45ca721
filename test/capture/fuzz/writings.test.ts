import { expect, test } from "bun:test";
import { Writings } from "./writings.ts";

const locked = "with locks";
const lockless = "without locks";

test("a writer without locks is hidden by one with locks that writes to the same file meanwhile", () => {
  let now = 0;
  const writings = new Writings(() => now);
  const other = writings.begin(locked, ["a"]);
  const hidden = writings.begin(lockless, ["b", "a"]);
  now = 100;
  hidden.end();
  other.end();
  expect([hidden.wasHidden, other.wasHidden]).toEqual([true, false]);
});

test("one that begins before the answer hides, and one that ended just before the first statement", () => {
  let now = 0;
  const writings = new Writings(() => now);
  writings.begin(locked, ["a"]).end();
  now = 10;
  const after = writings.begin(lockless, ["a"]);
  after.end();
  now = 1_000;
  const first = writings.begin(lockless, ["a"]);
  now = 1_050;
  writings.begin(locked, ["a"]);
  first.end();
  expect([after.wasHidden, first.wasHidden]).toEqual([true, true]);
});

test("nothing hides it when others write to other files, or at other times, or have no locks either", () => {
  let now = 0;
  const writings = new Writings(() => now);
  writings.begin(locked, ["a"]).end();
  now = 100;
  const writing = writings.begin(lockless, ["a"]);
  writings.begin(locked, ["b"]);
  writings.begin(lockless, ["a"]);
  writing.end();
  now = 200;
  writings.begin(locked, ["a"]);
  expect(writing.wasHidden).toBe(false);
});
