import { beforeEach, expect, test } from "bun:test";
import type { ReplicatedRow } from "../../../src/core/replication/row.ts";
import { failoverContext } from "../../../src/gateway/traces/failover-spans.ts";
import type { ExportOutcome } from "../../../src/gateway/traces/otlp.ts";
import { toldMsMax, Traces } from "../../../src/gateway/traces/traces.ts";
import type { TracedRequest } from "../../../src/http/proxy/request-trace.ts";
import { noMetrics } from "../../../src/metrics/metrics.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

interface ToldSpan {
  readonly name: string;
  readonly traceId: string;
  readonly links?: readonly object[];
}
let clock: ManualClock;
let told: ToldSpan[];
let answer: () => Promise<ExportOutcome> | ExportOutcome;
let traces: Traces;

function open(sample = 1): Traces {
  return new Traces({
    config: { endpoint: "http://127.0.0.1:1/v1/traces", headers: {}, sample, timeoutMs: 1_000 },
    ...{ resource: { cluster: "stead", gateway: "g1" }, clock, random: systemRandom, metrics: noMetrics },
    send: async (body) => {
      const { resourceSpans } = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: ToldSpan[] }[] }[] };
      told.push(...(resourceSpans[0]?.scopeSpans[0]?.spans ?? []));
      return answer();
    },
  });
}
beforeEach(() => {
  clock = new ManualClock();
  clock.advance(10_000_000);
  told = [];
  answer = () => ({ kind: "sent", rejected: 0, why: undefined });
  traces = open();
});

const row = (change: Record<string, unknown> = {}): ReplicatedRow => ({
  ...{ table: "failovers", key: "g1.notes.1.2", origin: "g1.1", seq: 1, hlc: "1", deleted: false },
  values: {
    ...{ id: "g1.notes.1.2", service: "notes", gateway: "g1", kind: "kill", outcome: "done", from_host: "a" },
    ...{ to_host: "b", epoch_from: 7, epoch_to: 8, attempts: 1, decided_at_ms: clock.now(), cause: null },
    timeline: JSON.stringify([{ phase: "claim", startMs: 0, ms: 10 }]),
    ...change,
  },
});

const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
};
const namesTold = () => told.map(({ name }) => name.replace("stead.failover", "")).toSorted();

const request = (change: Partial<TracedRequest> = {}): TracedRequest => ({
  ...{ traceId: "4bf92f3577b34da6a3ce929d0e0e4736", parentId: "00f067aa0ba902b7", requestId: "r", method: "GET" },
  ...{ end: "ok", replays: 0 },
  steps: [{ kind: "hold", startMs: clock.now() - 50, endMs: clock.now(), why: undefined, result: "released" }],
  ...change,
});

test("a failover of this gateway is told once, with what its last row says", async () => {
  traces.heard(row({ outcome: "running" }));
  await pass(5_000);
  expect(told).toEqual([]);
  const at = { decided_at_ms: clock.now() };
  traces.heard(row(at));
  traces.heard(
    row({ ...at, timeline: JSON.stringify([{ phase: "route", startMs: 10, ms: 1 }]), gap_ms: 5, gap_start_ms: 0 }),
  );
  await pass(2_000);
  expect(namesTold()).toEqual(["", ".gap", ".route"]);
  traces.heard(row({ ...at, gap_ms: 5, gap_start_ms: 0 }));
  await pass(5_000);
  expect(told).toHaveLength(3);
});

test("a gap that is known later follows alone, once", async () => {
  const at = { decided_at_ms: clock.now() };
  traces.heard(row(at));
  await pass(3_000);
  expect(namesTold()).toEqual(["", ".claim"]);
  for (let again = 0; again < 2; again++) traces.heard(row({ ...at, gap_ms: 3_000, gap_start_ms: 0 }));
  await pass(3_000);
  expect(namesTold()).toEqual(["", ".claim", ".gap"]);
  expect(new Set(told.map(({ traceId }) => traceId)).size).toBe(1);
});

test("a failover of a peer, an old one and a row of another table are not told", async () => {
  traces.heard(row({ gateway: "g2" }));
  traces.heard(row({ decided_at_ms: clock.now() - toldMsMax - 1 }));
  traces.heard({ ...row(), table: "events" });
  traces.heard({ ...row(), deleted: true });
  await pass(5_000);
  expect(told).toEqual([]);
});

test("a request is linked to the failover around its wait, also to a peer's, and to no other", async () => {
  traces.requestEnded("notes", request());
  traces.heard(row({ outcome: "running", gateway: "g2", id: "g2.notes.1.1" }));
  traces.requestEnded("notes", request());
  traces.requestEnded("other", request());
  await pass(60_000);
  traces.requestEnded("notes", request());
  await pass(1_000);
  expect(told.map(({ links }) => links)).toEqual([undefined, [failoverContext("g2.notes.1.1")], undefined, undefined]);
});

test("requests outside of the sample are not told; failovers always are", async () => {
  traces = open(0);
  traces.requestEnded("notes", request());
  traces.heard(row());
  await pass(3_000);
  expect(namesTold()).toEqual(["", ".claim"]);
});

test("a receiver that fails is a warning, which ends with a success", async () => {
  answer = () => ({ kind: "refused", why: "answered with 401" });
  traces.heard(row());
  await pass(3_000);
  expect(traces.warnings).toEqual([
    "gateway.traces: the last attempt to send spans failed (answered with 401), 0 wait; traces lack what is given up, clients notice nothing",
  ]);
  answer = () => ({ kind: "sent", rejected: 0, why: undefined });
  traces.requestEnded("notes", request());
  await pass(1_000);
  expect(traces.warnings).toEqual([]);
});

test("a gateway that stops has no timer left", async () => {
  traces.heard(row());
  await traces.close();
  expect(clock.timers).toBe(0);
});
