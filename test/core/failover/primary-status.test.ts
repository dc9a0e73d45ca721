import { expect, test } from "bun:test";
import { wakeAt } from "../../../src/core/failover/failover.ts";
import { Scenario, settings } from "../../support/core/failover-scenario.ts";

test("a remembered primary is not given up before a host is up, or the first look is over", () => {
  const recalled = () =>
    new Scenario()
      .register("a", "b")
      .send({ kind: "recall", host: "a", epoch: 3, dataUrl: "http://127.0.0.1:9" })
      .refused("a")
      .refused("b")
      .refused("a")
      .refused("b");
  const warnings = (s: Scenario) =>
    s.all("record-event").flatMap(({ level, what }) => (level === "info" ? [] : [what]));
  const s = recalled();
  expect({ phase: s.phase, warnings: warnings(s) }).toEqual({ phase: "suspect", warnings: [] });
  expect(wakeAt(s.state, s.now)).toBe(s.now + settings.staleMs);
  s.after(settings.staleMs);
  expect({ phase: s.phase, warnings: warnings(s) }).toEqual({
    phase: "down",
    warnings: ["primary-lost", "failover-no-candidate"],
  });
  // With a host that could take over, there is no such wait.
  const heard = recalled().hears("b", { epoch: 3 }).hears("b", { epoch: 3 });
  expect(heard.all("promote")).toMatchObject([{ host: "b", epoch: 3 }]);
  expect(warnings(heard)).toEqual(["primary-lost"]);
});
