import { expect, test } from "bun:test";
import type { FailoverEffect, Failover } from "../../../src/core/failover/state.ts";
import { abortFailover, type Transition } from "../../../src/core/failover/transition.ts";

function recordedAfter(failover: Pick<Failover, "kind" | "attempts">): readonly FailoverEffect["kind"][] {
  const effects: FailoverEffect[] = [];
  abortFailover({ effects } as unknown as Transition, failover as Failover, "overtaken", "another host serves", "wait");
  return effects.map(({ kind }) => kind);
}

test("a failover that ends before its first attempt is recorded only if an operator ordered it", () => {
  expect(recordedAfter({ kind: "kill", attempts: 0 })).toEqual([]);
  expect(recordedAfter({ kind: "kill", attempts: 1 })).toEqual(["record-failover"]);
  expect(recordedAfter({ kind: "switchover", attempts: 0 })).toEqual(["record-failover"]);
  expect(recordedAfter({ kind: "rewind", attempts: 0 })).toEqual(["record-failover"]);
});
