import { describe, expect, test } from "bun:test";
import { withoutRule } from "../../src/core/rules.ts";
import { fingerprintOf, suspectWindowMs, Suspects } from "../../src/core/suspects.ts";

const crash = fingerprintOf("GET", "/crash?a=1");
const hot = fingerprintOf("GET", "/notes");

describe("a request that ends the application", () => {
  test("is watched after one ending and set aside after the second, for ten seconds", () => {
    const suspects = new Suspects();
    expect(suspects.isWatching).toBe(false);
    expect(suspects.ended([crash], 0)).toEqual([]);
    expect(suspects.standing(crash, 1, true)).toEqual({ kind: "watched" });
    expect(suspects.ended([crash], 300)).toEqual([crash]);
    expect(suspects.standing(fingerprintOf("GET", "/crash?b=2"), 300, true)).toEqual({
      kind: "put-aside",
      forMs: 10_000,
      endings: 2,
    });
    expect(suspects.standing(fingerprintOf("POST", "/crash"), 300, true)).toEqual({ kind: "free" });
  });

  test("is executed as one trial after the pause, which doubles up to five minutes when the trial ends the application too", () => {
    const suspects = new Suspects();
    suspects.ended([crash], 0);
    suspects.ended([crash], 0);
    let now = 0;
    for (const pauseMs of [10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]) {
      expect(suspects.standing(crash, now + pauseMs - 1, true)).toMatchObject({ kind: "put-aside" });
      now += pauseMs;
      expect(suspects.standing(crash, now, true)).toEqual({ kind: "due" });
      suspects.beginTrial(crash);
      expect(suspects.standing(crash, now, true)).toMatchObject({ kind: "put-aside" });
      suspects.ended([crash], now);
    }
  });

  test("waits no longer for endings that it met before it was set aside, here or on another host", () => {
    const [first, next] = [new Suspects(), new Suspects()];
    for (let ending = 0; ending < 4; ending++) first.ended([crash], ending);
    next.adopt(first.list(3), 3);
    next.ended([crash], 4);
    expect(next.standing(crash, 10_003, true)).toMatchObject({ kind: "put-aside" });
    expect(next.standing(crash, 10_004, true)).toEqual({ kind: "due" });
  });

  test("is not tried while the host could not spare another ending", () => {
    const suspects = new Suspects();
    suspects.ended([crash], 0);
    suspects.ended([crash], 0);
    expect(suspects.standing(crash, 60_000, false)).toMatchObject({ kind: "put-aside", forMs: 1_000 });
    expect(suspects.standing(crash, 60_000, true)).toEqual({ kind: "due" });
  });

  test("is forwarded again after a completed trial, and waits for another trial after one without an outcome", () => {
    const suspects = new Suspects();
    suspects.ended([crash], 0);
    suspects.ended([crash], 0);
    suspects.beginTrial(crash);
    suspects.abortTrial(crash, 10_000);
    expect(suspects.standing(crash, 10_000, true)).toMatchObject({ kind: "put-aside", forMs: 10_000 });
    suspects.beginTrial(crash);
    expect(suspects.completed(crash, 20_000)).toBe(true);
    expect(suspects.standing(crash, 20_000, true)).toEqual({ kind: "free" });
    expect(suspects.isWatching).toBe(false);
  });

  test("is forgotten when it was not seen for the whole window", () => {
    const suspects = new Suspects();
    suspects.ended([crash], 0);
    suspects.ended([crash], suspectWindowMs);
    expect(suspects.standing(crash, suspectWindowMs, true)).toEqual({ kind: "watched" });
    suspects.ended([crash], suspectWindowMs + 1);
    expect(suspects.standing(crash, 2 * suspectWindowMs, true)).toEqual({ kind: "due" });
    expect(suspects.standing(crash, 2 * suspectWindowMs + 1, true)).toEqual({ kind: "free" });
  });
});

describe("a path that usually completes", () => {
  test("is never suspect, however often it is in flight at an ending", () => {
    const suspects = new Suspects();
    for (let now = 0; now < 100_000; now += 1_000) {
      expect(suspects.ended([hot], now)).toEqual([]);
      suspects.completed(hot, now + 500);
    }
    expect(suspects.list(100_000)).toEqual([]);
  });

  test("is not suspect either when the same killer comes again before anything could complete", () => {
    const suspects = new Suspects();
    suspects.completed(hot, 0);
    suspects.ended([hot, crash], 1_000);
    expect(suspects.ended([hot, crash], 1_100)).toEqual([crash]);
    expect(suspects.standing(hot, 1_100, true)).toEqual({ kind: "watched" });
  });

  test("is suspect all the same when it ends the application four times in a row", () => {
    const suspects = new Suspects();
    suspects.completed(hot, 0);
    expect([1, 2, 3, 4].map((now) => suspects.ended([hot], now).length)).toEqual([0, 0, 0, 1]);
  });

  test("is suspect when the rule that completed requests count is broken", () => {
    const suspects = new Suspects(withoutRule("suspects-complete"));
    suspects.ended([hot], 0);
    suspects.completed(hot, 500);
    expect(suspects.ended([hot], 1_000)).toEqual([hot]);
  });
});

describe("the tables", () => {
  test("have bounds, and requests that are known to end the application stay in them", () => {
    const suspects = new Suspects();
    suspects.ended([crash], 0);
    suspects.ended([crash], 1);
    for (let i = 0; i < 100; i++)
      suspects.ended(
        Array.from({ length: 100 }, (_, n) => fingerprintOf("GET", `/${i}/${n}`)),
        2 + i,
      );
    expect(suspects.list(200).length).toBeLessThanOrEqual(64);
    expect(suspects.standing(crash, 200, true)).toMatchObject({ kind: "put-aside" });
  });

  test("tell long paths apart without keeping them", () => {
    const a = fingerprintOf("GET", `/${"x".repeat(5_000)}a`);
    const b = fingerprintOf("GET", `/${"x".repeat(5_000)}b`);
    expect(a.path.length).toBeLessThan(220);
    expect(a.path).not.toBe(b.path);
  });

  test("travel to another host, where the worse entry counts", () => {
    const first = new Suspects();
    first.ended([crash, hot], 5);
    first.ended([crash], 6);
    const next = new Suspects();
    next.ended([hot], 1_000_000);
    next.ended([hot], 1_000_001);
    next.adopt(first.list(3_006), 1_000_002);
    expect(next.standing(crash, 1_000_002, true)).toEqual({ kind: "put-aside", forMs: 7_000, endings: 2 });
    expect(next.standing(hot, 1_000_002, true)).toMatchObject({ kind: "put-aside" });
    const watching = new Suspects();
    watching.adopt([{ ...crash, endings: 1, trialInMs: 0, pauseMs: 0 }], 0);
    expect(watching.ended([crash], 1)).toEqual([crash]);
  });

  test("are empty after an operator has cleared them", () => {
    const suspects = new Suspects();
    suspects.ended([crash], 0);
    suspects.clear();
    expect(suspects.isWatching).toBe(false);
  });
});
