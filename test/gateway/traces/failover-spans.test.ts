import { expect, test } from "bun:test";
import { failoverSpans, gapSpans, type TracedFailover } from "../../../src/gateway/traces/failover-spans.ts";

const failover: TracedFailover = {
  ...{ id: "g1.notes.1.2", service: "notes", gateway: "g1", kind: "kill", outcome: "done", fromHost: "a", toHost: "b" },
  ...{ epochFrom: 7, epochTo: 8, attempts: 1, decidedAtMs: 1_000_000, cause: "SIGSEGV", predictedMs: 900 },
  timeline: JSON.stringify([
    { phase: "detect", startMs: -200.5, ms: 150 },
    { phase: "agree", startMs: -50.5, ms: 50.5 },
    { phase: "claim", startMs: 0, ms: 10 },
    { phase: "lease", startMs: 10, ms: 100 },
    { phase: "catchUp", startMs: 10, ms: 20 },
    { phase: "start", startMs: 30, ms: 200 },
    { phase: "route", startMs: 230, ms: 1 },
  ]),
  ...{ gapMs: 450, gapStartMs: -210 },
};

test("a failover is one trace: a span for the whole, for each phase in its order, and for the gap", () => {
  const [whole, ...parts] = failoverSpans(failover);
  expect(whole).toMatchObject({
    ...{ name: "stead.failover", parentSpanId: undefined, error: undefined, startMs: 999_799.5, endMs: 1_000_231 },
    attributes: {
      ...{ "stead.service": "notes", "stead.gateway": "g1", "stead.failover.id": "g1.notes.1.2" },
      ...{ "stead.failover.kind": "kill", "stead.failover.outcome": "done", "stead.failover.attempts": 1 },
      ...{ "stead.failover.cause": "SIGSEGV", "stead.failover.predicted_ms": 900 },
      ...{ "stead.host.from": "a", "stead.host.to": "b", "stead.epoch.from": 7, "stead.epoch.to": 8 },
    },
  });
  expect(parts.map(({ name }) => name)).toEqual(
    ["detect", "agree", "claim", "lease", "catch_up", "start", "route", "gap"].map((name) => `stead.failover.${name}`),
  );
  expect(parts.map(({ startMs, endMs }) => [startMs - 1_000_000, endMs - 1_000_000])).toEqual([
    ...[
      [-200.5, -50.5],
      [-50.5, 0],
      [0, 10],
      [10, 110],
      [10, 30],
      [30, 230],
      [230, 231],
    ],
    [-210, 240],
  ]);
  for (const part of parts) expect(part).toMatchObject({ parentSpanId: whole?.spanId, traceId: whole?.traceId });
  expect(parts[4]?.attributes).toMatchObject({ "stead.phase": "catch_up", "stead.service": "notes" });
});

test("ids follow from the failover, are well formed, and each span has its own", () => {
  const spans = failoverSpans(failover);
  expect(failoverSpans(failover)).toEqual(spans);
  expect(spans[0]?.traceId).toMatch(/^[0-9a-f]{32}$/);
  for (const { spanId } of spans) expect(spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(spans.length);
  expect(failoverSpans({ ...failover, id: "g1.notes.1.3" })[0]?.traceId).not.toBe(spans[0]?.traceId);
});

test("a switchover is called so, a failover that was not completed is an error, a repeated phase has two spans", () => {
  expect(failoverSpans({ ...failover, kind: "switchover" })[0]?.name).toBe("stead.switchover");
  expect(failoverSpans({ ...failover, outcome: "refused" })[0]?.error).toBe("refused: SIGSEGV");
  expect(failoverSpans({ ...failover, outcome: "interrupted", cause: null })[0]?.error).toBe("interrupted");
  const timeline = JSON.stringify([1, 2].map((startMs) => ({ phase: "retry", startMs, ms: 1 })));
  const [, first, second] = failoverSpans({ ...failover, timeline });
  expect(first?.name).toBe("stead.failover.retry");
  expect(second?.spanId).not.toBe(first?.spanId);
});

test("what is not known is left out: a gap, or the phases of an earlier version", () => {
  expect(gapSpans({ ...failover, gapMs: null })).toEqual([]);
  const spans = failoverSpans({ ...failover, timeline: null, gapMs: null, gapStartMs: null });
  expect(spans).toMatchObject([{ startMs: 1_000_000, endMs: 1_000_000 }]);
});
