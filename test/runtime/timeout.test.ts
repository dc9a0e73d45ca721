import { expect, test } from "bun:test";
import { endsWithin } from "../../src/runtime/timeout.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

const never = new Promise<void>(() => undefined);

test("work that is over before the limit ends within it", async () => {
  expect(await endsWithin(new ManualClock(), 100, Promise.resolve())).toBe(true);
});

test("work that is not over at the limit does not end within it", async () => {
  const clock = new ManualClock();
  const ends = endsWithin(clock, 100, never);
  clock.advance(100);
  expect(await ends).toBe(false);
});

test("work that fails before the limit rejects", async () => {
  await expect(endsWithin(new ManualClock(), 100, Promise.reject(new Error("EIO")))).rejects.toThrow("EIO");
});
