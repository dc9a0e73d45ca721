import { expect, test } from "bun:test";
import { Scenario } from "../../support/core/failover-scenario.ts";

test("a doubted primary is suspect for the reason that raised the doubt", () => {
  const failed = Scenario.serving().refused("a");
  expect(failed.state.phase).toMatchObject({ kind: "suspect", cause: expect.stringContaining("a probe failed") });
  const unheard = new Scenario().register("a", "b").hears("b", { epoch: 4, epochHost: "a" });
  expect(unheard.state.phase).toMatchObject({ kind: "suspect", cause: "it was not heard yet" });
});
