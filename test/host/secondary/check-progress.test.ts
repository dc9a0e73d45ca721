import { expect, test } from "bun:test";
import { CheckProgress } from "../../../src/host/secondary/check-progress.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

test("the check of one large database is not silent: its name, size and time are told", () => {
  const clock = new ManualClock();
  const told: string[] = [];
  const bytesOf = (name: string): number => (name === "big.db" ? 12e9 : 4_096);
  const progress = new CheckProgress({ names: ["a.db", "big.db"], bytesOf, clock, tell: (text) => told.push(text) });
  clock.advance(500);
  progress.checked(1);
  clock.advance(4_000);
  progress.checked(2);
  clock.advance(2_000);
  progress.close();
  clock.advance(10_000);
  const begin = "checking the databases before they become the first checkpoint: ";
  expect(told).toEqual([
    `${begin}0 of 2`,
    `${begin}1 of 2; big.db (11 GiB) for 1 s`,
    `${begin}1 of 2; big.db (11 GiB) for 3 s`,
    `${begin}2 of 2`,
  ]);
  expect(clock.timers).toBe(0);
});
