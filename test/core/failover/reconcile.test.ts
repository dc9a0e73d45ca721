import { expect, test } from "bun:test";
import { Scenario } from "../../support/core/failover-scenario.ts";

test("a doubted primary is suspect for the reason that raised the doubt", () => {
  const failed = Scenario.serving().refused("a");
  expect(failed.state.phase).toMatchObject({ kind: "suspect", cause: expect.stringContaining("a probe failed") });
  const unheard = new Scenario().register("a", "b").hears("b", { epoch: 4, epochHost: "a" });
  expect(unheard.state.phase).toMatchObject({ kind: "suspect", cause: "it was not heard yet" });
});

const ordered = (): Scenario =>
  Scenario.serving().send({ kind: "command", id: "1", command: { kind: "switchover", target: undefined } });

test("an order to step down without an answer is given up once the primary has served for three seconds after it, and says so again", () => {
  const s = ordered();
  s.now += 2_999;
  s.hears("a", { role: "primary" });
  expect([s.phase, s.all("cancel")]).toEqual(["demoting", []]);
  s.now += 1;
  s.hears("a", { role: "primary" });
  expect([s.phase, s.all("cancel").length]).toEqual(["demoting", 1]);
  s.now += 1;
  s.hears("a", { role: "primary" });
  expect([s.phase, s.all("cancel").length]).toEqual(["serving", 1]);
});

test("an order to step down without an answer stays in force while the primary drains", () => {
  const s = ordered();
  for (let times = 1; times <= 5; times++) {
    s.now += 1_000;
    s.hears("a", { role: "draining" });
  }
  expect([s.phase, s.all("cancel")]).toEqual(["demoting", []]);
});
