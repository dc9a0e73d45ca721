import { expect, test } from "bun:test";
import { drillLagMax, whyNoDrill } from "../../../src/core/failover/drill.ts";
import { Scenario } from "../../support/core/failover-scenario.ts";

const reasons = (s: Scenario): readonly string[] => whyNoDrill(s.state, s.now);

test("a service whose primary serves and that has a healthy second host can be drilled", () => {
  expect(reasons(Scenario.serving())).toEqual([]);
});

test("without a primary that serves nothing else is looked at", () => {
  expect(reasons(new Scenario())).toEqual(["the service is unknown: a drill needs a primary that serves"]);
});

test("without a host that could take over it says why each cannot", () => {
  const s = new Scenario().register("a", "b").hears("a", { role: "primary" }).hears("b", { nofailover: true });
  expect(reasons(s)).toEqual(["no host could take over: b: nofailover is set"]);
});

test("a paused service is not drilled: its primary would not be replaced", () => {
  const s = Scenario.serving();
  s.send({ kind: "command", id: "1", command: { kind: "pause" } });
  expect(reasons(s)).toEqual([expect.stringContaining("automation is paused")]);
});

test("a primary that is impaired, and one whose successor is far behind, are left alone", () => {
  const impairments = [{ kind: "disk", reason: "it hangs", forMs: 9 }] as const;
  const s = new Scenario().register("a", "b").hears("b", { position: 10 });
  s.hears("a", { role: "primary", position: 11 + drillLagMax, impairments });
  const found = reasons(s);
  expect(found).toContainEqual(`b is ${drillLagMax + 1} log positions behind, more than ${drillLagMax}`);
  expect(found).toContainEqual("the primary a is impaired already: it hangs");
});
