import { expect, test } from "bun:test";
import type { PhaseSpan } from "../../../src/core/failover/state.ts";
import { Scenario } from "../../support/core/failover-scenario.ts";
import { addSpan, spansMax } from "../../../src/core/failover/timeline.ts";

const span = (phase: PhaseSpan["phase"], startMs: number, ms: number): PhaseSpan => ({ phase, startMs, ms });

test("adjoining parts of one phase are one span that ends with the last of them", () => {
  const timeline = [span("demote", 0, 5), span("demote", 6, 4), span("claim", 10, 2)].reduce<readonly PhaseSpan[]>(
    addSpan,
    [],
  );
  expect(timeline).toEqual([span("demote", 0, 10), span("claim", 10, 2)]);
});

test("waiting and failed attempts that alternate for days do not grow in number, and what follows has its place", () => {
  let timeline: readonly PhaseSpan[] = [span("detect", -100, 100)];
  for (let each = 0; each < 1_000; each++) {
    timeline = addSpan(timeline, span("wait", each * 10, 8));
    timeline = addSpan(timeline, span("retry", each * 10 + 8, 2));
  }
  timeline = addSpan(addSpan(timeline, span("claim", 10_000, 7)), span("start", 10_007, 50));
  expect(timeline.length).toBe(spansMax);
  expect(timeline.slice(0, 1)).toEqual([span("detect", -100, 100)]);
  expect(timeline.slice(-4)).toEqual([
    span("wait", 9_990, 8),
    span("retry", 9_998, 2),
    span("claim", 10_000, 7),
    span("start", 10_007, 50),
  ]);
  expect(timeline.find(({ phase }) => phase === "wait")?.startMs).toBe(0);
});

test("the phases have their places on one time axis, whose zero is the decision", () => {
  const s = Scenario.serving();
  s.now += 750;
  s.timedOut("a");
  s.timedOut("a");
  for (const [phase, ms] of [
    ["claim", 20],
    ["catch-up", 5],
    ["start", 300],
    ["lease", 40],
    ["ready", 1],
  ] as const) {
    s.now += ms + 1;
    s.send({ kind: "phase-ended", call: s.call, phase, ms });
  }
  s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:2" });
  s.now += 2;
  s.send({ kind: "routed", epoch: 2 });
  const recorded = s.effects.findLast((effect) => effect.kind === "record-failover");
  expect(recorded?.failover.timeline).toEqual([
    { phase: "detect", startMs: -750, ms: 750 },
    { phase: "agree", startMs: 0, ms: 0 },
    { phase: "claim", startMs: 1, ms: 20 },
    { phase: "catchUp", startMs: 22, ms: 5 },
    { phase: "start", startMs: 28, ms: 300 },
    { phase: "lease", startMs: 329, ms: 40 },
    { phase: "start", startMs: 370, ms: 1 },
    { phase: "route", startMs: 371, ms: 2 },
  ]);
});
