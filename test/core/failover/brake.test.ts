import { expect, test } from "bun:test";
import { causeOfLoss } from "../../../src/core/failover/brake.ts";
import type { Failover, ServiceState } from "../../../src/core/failover/state.ts";
import { Scenario } from "../../support/core/failover-scenario.ts";

const cause = { kind: "kill", text: "its host process was gone" } as const;

function during(kind: Failover["kind"]): ServiceState {
  const { state } = Scenario.serving();
  const failover = { kind, cause } as Failover;
  return { ...state, phase: { kind: "agreeing", failover } as ServiceState["phase"] };
}

test.each(["switchover", "rewind", "forced", "first"] as const)("a %s that was ordered has no cause", (kind) => {
  expect(causeOfLoss(during(kind), 0)).toBeUndefined();
});

test.each(["kill", "hang", "stepped-down", "impaired"] as const)("a failover after a %s has its cause", (kind) => {
  expect(causeOfLoss(during(kind), 0)).toEqual(cause);
});
