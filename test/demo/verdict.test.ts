import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { Display, stripOf } from "../../src/demo/display.ts";
import { History, type ViolationKind } from "../../harness/history.ts";
import { planEvents } from "../../src/demo/plan.ts";
import { isGood, type VerdictInput, verdictLines, verdictObject } from "../../src/demo/verdict.ts";

const phases = {
  detect: 1.26,
  agree: 2,
  claim: 3,
  lease: 0,
  catchup: 4,
  start: 50,
  route: 1,
  demote: 0,
  wait: 0,
  retry: 0,
};

function input(change: Partial<VerdictInput> = {}): VerdictInput {
  return {
    events: [{ kind: "kill", phases, gapMs: 70.04, gapAfterMs: -1 }],
    counts: { ok: 10, unknown: 1, failed: 0, unknownReasons: { why: 1 } },
    held: 4,
    replayed: 2,
    result: { acknowledged: 5, missing: 0, phantom: 1, forbidden: 0 },
    zombieAcknowledged: 0,
    history: new History(),
    ...change,
  };
}

describe("the verdict", () => {
  test("has exactly the documented fields", () => {
    expect(verdictObject(input())).toEqual({
      failovers: [
        {
          kind: "kill",
          detect_ms: 1.3,
          agree_ms: 2,
          claim_ms: 3,
          lease_ms: 0,
          catchup_ms: 4,
          start_ms: 50,
          route_ms: 1,
          gap_ms: 70,
        },
      ],
      requests: { ok: 10, held: 4, replayed: 2, unknown: 1, failed: 0 },
      unknown_reasons: { why: 1 },
      writes: { acknowledged: 5, missing: 0, phantom: 1 },
      zombie_acknowledged: 0,
      invariant_ok: true,
      gateways_converge_ms: 0,
    });
    expect(isGood(verdictObject(input()))).toBe(true);
  });

  test("says why each unknown write is unknown", () => {
    expect(verdictLines(verdictObject(input())).at(-1)).toBe("    1: why");
  });

  test("is bad when a write is missing, a request failed, or a zombie acknowledged", () => {
    const bad: Partial<VerdictInput>[] = [
      { result: { acknowledged: 5, missing: 1, phantom: 0, forbidden: 0 } },
      { result: { acknowledged: 5, missing: 0, phantom: 0, forbidden: 1 } },
      { counts: { ok: 10, unknown: 0, failed: 1, unknownReasons: {} } },
      { zombieAcknowledged: 1 },
      { gatewaysConvergeMs: null },
    ];
    for (const change of bad) expect(isGood(verdictObject(input(change)))).toBe(false);
  });

  test("says how long gateways took to have the same rows, and is bad when they never had", () => {
    const well = verdictObject(input({ gatewaysConvergeMs: 1234.56 }));
    expect(well.gateways_converge_ms).toBe(1234.6);
    expect(isGood(well)).toBe(true);
    expect(verdictLines(well, 3).join("\n")).toContain("✓ all 3 gateways have the same rows, 1.2 s after");
    const apart = verdictObject(input({ gatewaysConvergeMs: null }));
    expect(apart.gateways_converge_ms).toBeNull();
    expect(verdictLines(apart, 3).join("\n")).toContain("✗ the 3 gateways do not have the same rows");
    expect(verdictLines(well).join("\n")).not.toContain("gateways");
  });

  test("is bad for every kind of breach of the history", () => {
    const kinds: ViolationKind[] = ["duplicate", "stale", "undone", "invented", "sum", "incomplete", "zombie-process"];
    for (const kind of kinds) {
      const history = new History();
      history.report(kind, "seen");
      expect(verdictObject(input({ history })).invariant_ok).toBe(false);
    }
  });
});

describe("the plan", () => {
  test("has all kills, one switchover and one hang, in an order that the seed draws", () => {
    const plan = planEvents(3, new SeededRandom(5));
    expect([...plan].sort()).toEqual(["hang", "kill", "kill", "kill", "switchover"]);
    expect(planEvents(3, new SeededRandom(5))).toEqual(plan);
    const orders = new Set(Array.from({ length: 40 }, (_, seed) => planEvents(3, new SeededRandom(seed)).join()));
    expect(orders.size).toBeGreaterThan(10);
  });
});

describe("the display", () => {
  test("draws a strip whose highest block is the highest value", () => {
    expect(stripOf([0, 5, 10])).toBe(" ▄█");
    expect(stripOf([0, 0])).toBe("  ");
  });

  test("prints lines only where there is no terminal", () => {
    const written: string[] = [];
    const display = new Display({ write: (text) => void written.push(text) }, () => {
      throw new Error("nothing live is drawn here");
    });
    display.line("one");
    display.close();
    expect(written).toEqual(["one\n"]);
  });

  test("draws the live lines again below every line on a terminal, and removes them at the end", () => {
    let written = "";
    const stream = { isTTY: true, columns: 80, write: (text: string) => void (written += text) };
    const view = { elapsedMs: 1000, hosts: ["a primary"], strip: [1], perSecond: 1, waiting: 0, acknowledged: 0 };
    const display = new Display(stream, () => view);
    display.line("one");
    display.line("two");
    display.close();
    expect(written.indexOf("one\n")).toBe(0);
    expect(written).toContain("a primary");
    expect(written).toContain("\u001b[4A\u001b[0Jtwo\n");
    expect(written.endsWith("\u001b[4A\u001b[0J")).toBe(true);
  });
});
