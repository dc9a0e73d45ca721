import { describe, expect, test } from "bun:test";
import { type OrderedDrill, whyGiveWay } from "../../../src/core/failover/drill-order.ts";

const drillOf = (gateway: string, orderedAtMs: number, hasBegun = false): OrderedDrill => ({
  ...{ id: `${gateway}.notes.${orderedAtMs}.1`, service: "notes", gateway, orderedAtMs, hasBegun },
});
const registered = ["g1", "g2", "g3"];
const whyOf = (own: OrderedDrill, others: readonly OrderedDrill[], confirmed: readonly string[]) =>
  whyGiveWay({ own, others, confirmed: new Set(confirmed), registered });

describe("an ordered drill", () => {
  test("begins alone if a majority of the gateways knows of it", () => {
    expect(whyOf(drillOf("g1", 5), [], ["g1", "g3"])).toBeUndefined();
    expect(whyOf(drillOf("g1", 5), [], ["g1"])).toContain("no answer from g2, g3");
    const one = { own: drillOf("g1", 5), others: [], confirmed: new Set(["g1"]) };
    expect(whyGiveWay({ ...one, registered: ["g1"] })).toBeUndefined();
    expect(whyGiveWay({ ...one, registered: ["g1", "g2"] })).toContain("no answer from g2");
  });

  test("gives way to one that began, and to an earlier one; ids decide within a millisecond", () => {
    expect(whyOf(drillOf("g1", 5), [drillOf("g2", 9, true)], registered)).toContain("running on g2");
    expect(whyOf(drillOf("g1", 5), [drillOf("g2", 4)], registered)).toContain("running on g2");
    expect(whyOf(drillOf("g1", 5), [drillOf("g2", 5)], registered)).toBeUndefined();
    expect(whyOf(drillOf("g2", 5), [drillOf("g1", 5)], registered)).toContain("running on g1");
  });

  test("gives way to a later one whose gateway may not know of it", () => {
    expect(whyOf(drillOf("g1", 5), [drillOf("g2", 9)], ["g1", "g2"])).toBeUndefined();
    expect(whyOf(drillOf("g1", 5), [drillOf("g2", 9)], ["g1", "g3"])).toContain("running on g2");
  });
});
