/** For how long a database may be left out before the capture ends. */
import { expect, test } from "bun:test";
import { notWhole } from "../../src/capture/refusals.ts";
import { Uncaptured } from "../../src/capture/uncaptured.ts";

const error = notWhole("new.db", "100 of 200 bytes");

/** One whose clock stands where `at` sets it. */
function begin() {
  let nowMs = 0;
  return {
    uncaptured: new Uncaptured(
      () => nowMs,
      () => undefined,
    ),
    at: (ms: number) => void (nowMs = ms),
  };
}

test("a database that is left out ends the capture after the patience, counted from the first reason", () => {
  const { uncaptured, at } = begin();
  uncaptured.note("new.db", error);
  at(300);
  uncaptured.note("new.db", error);
  at(400);
  uncaptured.assertPatience(400);
  at(401);
  expect(() => uncaptured.assertPatience(400)).toThrow(error.message);
});

test("a look right before the end of the patience ends nothing: the one after it may leave the file out instead", () => {
  const { uncaptured, at } = begin();
  uncaptured.note("new.db", error, { atMs: 0, decidesAtMs: 400 });
  at(401);
  // It began before, and took until now.
  uncaptured.note("new.db", error, { atMs: 399, decidesAtMs: 799 });
  at(402);
  uncaptured.assertPatience(400);
  uncaptured.note("new.db", error, { atMs: 402, decidesAtMs: 799 });
  expect(() => uncaptured.assertPatience(400)).toThrow(error.message);
});

test("a reason that is over leaves another one of the same name, noted since, as it is", () => {
  const { uncaptured } = begin();
  const later = notWhole("new.db", "150 of 200 bytes");
  uncaptured.note("new.db", error);
  uncaptured.note("new.db", later);
  uncaptured.withdraw("new.db", error);
  expect(uncaptured.list.map(({ error: { message } }) => message)).toEqual([later.message]);
  uncaptured.withdraw("new.db", later);
  expect(uncaptured.size).toBe(0);
});
