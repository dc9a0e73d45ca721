import { expect, test } from "bun:test";
import { isInSample, requestSpans } from "../../../src/gateway/traces/request-spans.ts";
import type { TracedRequest } from "../../../src/http/proxy/request-trace.ts";
import { systemRandom } from "../../../src/runtime/random.ts";

const request: TracedRequest = {
  ...{ traceId: "4bf92f3577b34da6a3ce929d0e0e4736", parentId: "00f067aa0ba902b7", requestId: "r1", method: "PUT" },
  ...{ end: "ok", replays: 1 },
  steps: [
    { kind: "hold", startMs: 10, endMs: 40, why: undefined, result: "released" },
    { kind: "replay", startMs: 5, endMs: 50, why: "changes-state", result: "completed" },
  ],
};
const failover = { traceId: "a".repeat(32), spanId: "b".repeat(16) };

test("each wait and each repetition is a span below the client's, in its trace, linked to the failover", () => {
  const spans = requestSpans(request, { service: "notes", gateway: "g1", failover }, systemRandom);
  const common = { traceId: request.traceId, parentSpanId: request.parentId, links: [failover], error: undefined };
  expect(spans).toMatchObject([
    {
      ...{ ...common, name: "stead.request.hold", startMs: 10, endMs: 40 },
      attributes: {
        ...{ "stead.service": "notes", "stead.gateway": "g1", "stead.request.id": "r1", "stead.request.end": "ok" },
        ...{ "http.request.method": "PUT", "stead.request.replays": 1, "stead.hold.result": "released" },
      },
    },
    {
      ...{ ...common, name: "stead.request.replay", startMs: 5, endMs: 50 },
      attributes: { "stead.replay.result": "completed", "stead.replay.why": "changes-state" },
    },
  ]);
  expect(spans[0]?.spanId).toMatch(/^[0-9a-f]{16}$/);
  expect(spans[1]?.spanId).not.toBe(spans[0]?.spanId);
});

test("a request whose outcome is unknown is an error", () => {
  const place = { service: "notes", gateway: "g1", failover: undefined };
  expect(requestSpans({ ...request, end: "unknown" }, place, systemRandom)).toMatchObject([
    { error: "the request ended as unknown", links: [] },
    { error: "the request ended as unknown", links: [] },
  ]);
});

test("a sample depends on the trace alone, and has about its share of them", () => {
  const traces = Array.from({ length: 4_000 }, () => Buffer.from(systemRandom.bytes(16)).toString("hex"));
  const share = traces.filter((trace) => isInSample(trace, 0.25)).length / traces.length;
  expect(Math.abs(share - 0.25)).toBeLessThan(0.05);
  expect(traces.every((trace) => isInSample(trace, 1))).toBe(true);
  expect(traces.some((trace) => isInSample(trace, 0))).toBe(false);
  for (const trace of traces) if (isInSample(trace, 0.25)) expect(isInSample(trace, 0.5)).toBe(true);
});
