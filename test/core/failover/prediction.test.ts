import { expect, test } from "bun:test";
import { median, predict, type MeasuredFailover, type PredictionBasis } from "../../../src/core/failover/prediction.ts";

const basis = (change: Partial<PredictionBasis> = {}): PredictionBasis => ({
  measured: [],
  candidate: "b",
  lag: 0,
  rehearsedMs: undefined,
  primaryStartMs: undefined,
  probe: { intervalMs: 250, timeoutMs: 500, fall: 2 },
  leaseMs: 1_000,
  ...change,
});
const measured = (kind: string, to: string, phases: MeasuredFailover["phases"], gapMs?: number): MeasuredFailover => ({
  kind,
  to,
  phases,
  gapMs,
});
const phase = (name: string, prediction: ReturnType<typeof predict>) =>
  prediction.phases.find((each) => each.phase === name);

test("without history a hang takes the probes' times and the lease, a kill neither", () => {
  const hang = predict("hang", basis());
  expect(phase("detect", hang)).toMatchObject({ ms: 875, startMs: -875, source: "configured" });
  expect(phase("lease", hang)).toMatchObject({ ms: 0, source: "configured" });
  // 85 % of the lease are left, on average, when the silence begins, and the claim takes 20 ms.
  expect(phase("lease", predict("hang", basis({ leaseMs: 4_000 })))?.ms).toBeCloseTo(3_400 - 875 - 20, 6);
  const kill = predict("kill", basis());
  expect(phase("lease", kill)).toMatchObject({ ms: 0 });
  expect(kill.gapMs).toBeLessThan(hang.gapMs - 800);
  expect(phase("demote", kill)).toBeUndefined();
  expect(phase("detect", predict("switchover", basis()))).toBeUndefined();
});

test("the start is that of this host if it was measured there, else its rehearsal, else that of other hosts", () => {
  expect(phase("start", predict("kill", basis({ primaryStartMs: 120 })))).toMatchObject({
    ms: 120,
    source: "measured elsewhere",
  });
  const elsewhere = measured("kill", "c", { start: 900 });
  expect(phase("start", predict("kill", basis({ measured: [elsewhere] })))).toMatchObject({
    ms: 900,
    source: "measured elsewhere",
  });
  expect(phase("start", predict("kill", basis({ measured: [elsewhere], rehearsedMs: 400 })))).toMatchObject({
    ms: 400,
    source: "rehearsed",
  });
  const here = measured("switchover", "b", { start: 300 });
  const both = basis({ measured: [elsewhere, here], rehearsedMs: 400 });
  expect(phase("start", predict("kill", both))).toMatchObject({ ms: 300, source: "measured", failovers: 1 });
});

test("a lag adds to the catch-up", () => {
  const caughtUp = predict("kill", basis()).gapMs;
  expect(predict("kill", basis({ lag: 500 })).gapMs).toBe(caughtUp + 500);
});

test("what gaps had beyond their phases is expected again, and the newest ten count", () => {
  const old = Array.from({ length: 10 }, () => measured("kill", "b", { detect: 500, start: 5_000 }, 9_000));
  const fresh = Array.from({ length: 10 }, () => measured("kill", "b", { detect: 10, claim: 5, start: 200 }, 235));
  const prediction = predict("kill", basis({ measured: [...old, ...fresh] }));
  expect(phase("start", prediction)).toMatchObject({ ms: 200, failovers: 10 });
  expect(phase("rest", prediction)).toMatchObject({ ms: 20, failovers: 10 });
});

test("what a kill left to clients is expected of a switchover too, not of a hang", () => {
  const killed = measured("kill", "b", { start: 200 }, 230);
  expect(phase("rest", predict("switchover", basis({ measured: [killed] })))).toMatchObject({ ms: 30, failovers: 1 });
  expect(phase("rest", predict("hang", basis({ measured: [killed] })))).toMatchObject({ ms: 0, source: "assumed" });
});

test("a gap that was shorter than its phases is expected again", () => {
  const served = measured("hang", "b", { detect: 800, lease: 900, start: 200 }, 300);
  const prediction = predict("hang", basis({ measured: [served, served] }));
  expect(phase("rest", prediction)?.ms).toBe(-1_600);
  expect(prediction.gapMs).toBeLessThan(400);
});

test("the phases follow each other from the last sign of the primary to the end of the gap", () => {
  const { phases, gapMs } = predict("hang", basis({ lag: 7 }));
  const first = phases[0]?.startMs ?? 0;
  phases.reduce((at, each) => {
    expect(each.startMs).toBeCloseTo(at, 6);
    return at + each.ms;
  }, first);
  expect(gapMs).toBeCloseTo(
    phases.reduce((sum, { ms }) => sum + ms, 0),
    6,
  );
});

test("the median of an even number lies between the two in the middle", () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([7, 1, 3])).toBe(3);
});
