import { describe, expect, test } from "bun:test";
import { type DrillBasis, expectDrill } from "../../../src/core/failover/drill-expectation.ts";

const basis = (change: Partial<DrillBasis> = {}): DrillBasis => ({
  ...{ measured: [], candidate: "b", lag: 0, rehearsedMs: undefined, primaryStartMs: 100, leaseMs: 1_000 },
  ...{ probe: { intervalMs: 250, timeoutMs: 500, fall: 2 }, drills: [], forMs: 15_000, patienceMs: 2_000 },
  ...change,
});
const ms = (expected: ReturnType<typeof expectDrill>, name: string) =>
  expected.phases.find(({ phase }) => phase === name)?.ms;

describe("without an earlier drill", () => {
  test("a kill takes the start of the application, as measured on the primary", () => {
    expect(expectDrill("kill", basis())).toMatchObject({ gapMs: 25 + 20 + 20 + 100 + 1, host: "b" });
  });

  test("clients are served by a primary that is cut off until its lease ends", () => {
    const partition = expectDrill("partition", basis());
    expect(ms(partition, "detect")).toBe(875);
    expect(partition.gapMs).toBeCloseTo(875 + 20 + 20 + 100 + 1 - 750, 6);
  });

  test("an application that hangs is restarted after its patience, or continues by itself", () => {
    expect(expectDrill("hang", basis()).gapMs).toBe(2_500 + 100);
    expect(expectDrill("hang", basis({ patienceMs: undefined, forMs: 5_000 })).gapMs).toBe(5_000);
    expect(expectDrill("hang", basis({ patienceMs: 10_000, forMs: 5_000 })).gapMs).toBe(5_000);
  });
});

describe("after earlier drills", () => {
  test("what clients waited beyond the phases is that of drills of the same kind", () => {
    const phases = { detect: 900, start: 200 };
    const drills = [
      { kind: "partition", rtoMs: 300, phases },
      { kind: "kill", rtoMs: 260, phases: { detect: 10, start: 200 } },
    ];
    expect(ms(expectDrill("partition", basis({ drills })), "rest")).toBe(-800);
    expect(ms(expectDrill("kill", basis({ drills })), "rest")).toBe(50);
  });

  test("after a kill and a switchover clients wait alike: each counts for the other until there are three", () => {
    const drill = (kind: string, rest: number) => ({ kind, rtoMs: 100 + rest, phases: { start: 100 } });
    const few = [drill("kill", 80), drill("switchover", 20), drill("switchover", 24), drill("partition", -90)];
    expect(ms(expectDrill("kill", basis({ drills: few })), "rest")).toBe(24);
    const more = [...few, drill("kill", 76), drill("kill", 78)];
    expect(ms(expectDrill("kill", basis({ drills: more })), "rest")).toBe(78);
  });

  test("a hang without a failover takes what it took, and the newest of two counts", () => {
    const drills = [9_000, 2_700].map((rtoMs) => ({ kind: "hang", rtoMs, phases: undefined }));
    const expected = expectDrill("hang", basis({ drills }));
    expect(expected.gapMs).toBe(2_700);
    expect(expected.phases.map(({ phase, startMs }) => [phase, startMs])).toEqual([
      ["detect", 0],
      ["start", 2_600],
    ]);
  });

  test("a hang that led to a failover is expected to do so again", () => {
    const measured = [{ kind: "hang", to: "b", phases: { detect: 800, start: 150 }, gapMs: undefined }];
    const drills = [{ kind: "hang", rtoMs: 1_050, phases: { detect: 800, start: 150 } }];
    const expected = expectDrill("hang", basis({ measured, drills }));
    expect(ms(expected, "start")).toBe(150);
    expect(ms(expected, "rest")).toBe(100);
  });
});
