import { describe, expect, test } from "bun:test";
import { agree, seeingDown, type AgreementQuestion, type PeerView } from "../../../src/core/failover/agreement.ts";
import { allRules, withoutRule } from "../../../src/core/rules.ts";

const view = (gateway: string, sees: PeerView["sees"], change: Partial<PeerView> = {}): PeerView => ({
  gateway,
  sees,
  at: 1000,
  epoch: 3,
  ...change,
});

const question = (
  registered: string[],
  peers: PeerView[],
  change: Partial<AgreementQuestion> = {},
): AgreementQuestion => ({
  self: "g1",
  registered,
  peers,
  epoch: 3,
  decidedAt: 1000,
  now: 1000,
  agreeWaitMs: 150,
  staggerMs: 50,
  freshMs: 2500,
  ...change,
});

describe("agreement between gateways", () => {
  test("a gateway that is alone by registration acts at once", () => {
    expect(agree(question(["g1"], []), allRules)).toEqual({ kind: "act" });
  });

  test("a majority of the registered gateways acts at once, the first by id first", () => {
    const three = ["g1", "g2", "g3"];
    expect(agree(question(three, [view("g2", "down")]), allRules)).toEqual({ kind: "act" });
    expect(agree(question(three, [view("g0", "down")], { registered: ["g0", ...three] }), allRules)).toMatchObject({
      kind: "wait",
    });
    expect(agree(question(three, [view("g1", "down")], { self: "g2" }), allRules)).toEqual({
      kind: "wait",
      until: 1050,
    });
    expect(agree(question(three, [view("g1", "down")], { self: "g2", now: 1050 }), allRules)).toEqual({ kind: "act" });
  });

  test("without a majority it waits for views, then asks a candidate with the evidence it has", () => {
    const lonely = question(["g1", "g2"], []);
    expect(agree(lonely, allRules)).toEqual({ kind: "wait", until: 1150 });
    expect(agree({ ...lonely, now: 1150 }, allRules)).toEqual({ kind: "act" });
    expect(seeingDown(lonely)).toEqual(["g1"]);
  });

  test("a majority that sees a healthy primary overrules", () => {
    const isolated = question(["g1", "g2", "g3"], [view("g2", "up"), view("g3", "up")], { now: 9000, freshMs: 10_000 });
    expect(agree(isolated, allRules)).toEqual({ kind: "overruled", seeingUp: ["g2", "g3"] });
  });

  test("views that are old, of another epoch, or of gateways that are not registered do not count", () => {
    const three = ["g1", "g2", "g3"];
    const worthless = [
      view("g2", "down", { at: -5000 }),
      view("g3", "down", { epoch: 2 }),
      view("stranger", "down"),
      view("g1", "down"),
    ];
    expect(seeingDown(question(three, worthless))).toEqual(["g1"]);
    expect(agree(question(three, worthless), allRules)).toMatchObject({ kind: "wait" });
  });

  test("an even split is no majority", () => {
    const four = question(["g1", "g2", "g3", "g4"], [view("g2", "down"), view("g3", "up"), view("g4", "up")]);
    expect(agree(four, allRules)).toMatchObject({ kind: "wait", until: 1150 });
  });

  test("with the majority rule broken an isolated gateway is not overruled", () => {
    const isolated = question(["g1", "g2", "g3"], [view("g2", "up"), view("g3", "up")], { now: 1150 });
    expect(agree(isolated, withoutRule("majority"))).toEqual({ kind: "act" });
  });
});
