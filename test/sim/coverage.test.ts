import { expect, test } from "bun:test";
import { Coverage, gaps } from "./coverage.ts";
import { faultKinds } from "./faults.ts";
import { run } from "./run.ts";

test("what machines say of themselves counts as a transition, and nothing else that is said", () => {
  const coverage = new Coverage();
  coverage.heard("a", 'secondary -> restoring {"reason":"left behind"}');
  coverage.heard("g1", "serving -> suspect");
  coverage.heard("g1", "stepped-down: b -> a");
  coverage.heard("log", "12: a claims epoch 3");
  expect(coverage.transitions).toEqual({ "host: secondary -> restoring": 1, "gateway: serving -> suspect": 1 });
});

test("faults meet while the first one lasts, or shortly after it", () => {
  const coverage = new Coverage();
  const kill = { kind: "kill", who: 0, atMs: 1_000, forMs: 200 } as const;
  coverage.met([
    kill,
    { kind: "restart", who: 1, atMs: 1_600, forMs: 1 },
    { kind: "power", who: 1, atMs: 5_000, forMs: 1 },
  ]);
  expect(coverage.pairs).toEqual({ "kill + restart": 1 });
});

test("what was not reached is named, until it is", () => {
  const nothing = gaps({}, {}, ["kill", "power"]);
  expect(nothing.unmet).toEqual(["kill + kill", "kill + power", "power + power"]);
  expect(nothing.unreached).toContain("host: secondary -> claiming");
  expect(nothing.unreached).toContain("gateway: serving -> suspect");
  expect(gaps({ "host: secondary -> claiming": 1 }, { "kill + power": 2 }, ["kill", "power"]).unreached).not.toContain(
    "host: secondary -> claiming",
  );
  expect(gaps({ "host: secondary -> primary": 1 }, {}, []).undeclared).toEqual(["host: secondary -> primary"]);
});

test("a history reports what it has reached", async () => {
  const { figures } = await run({ seed: 1 });
  expect(figures.transitions["host: starting -> primary"]).toBeGreaterThan(0);
  expect(gaps(figures.transitions, figures.pairs, faultKinds).undeclared).toEqual([]);
}, 60_000);
