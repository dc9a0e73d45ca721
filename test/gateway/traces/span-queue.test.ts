import { beforeEach, expect, test } from "bun:test";
import type { ExportOutcome } from "../../../src/gateway/traces/otlp.ts";
import type { Span } from "../../../src/gateway/traces/span.ts";
import {
  exportAttemptsMax,
  batchMax,
  queuedSpansMax,
  reservedForFailovers,
  SpanQueue,
} from "../../../src/gateway/traces/span-queue.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const spansOf = (count: number, name = "s"): Span[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ traceId: "a".repeat(32), spanId: index.toString(16).padStart(16, "0"), parentSpanId: undefined, name },
    ...{ startMs: 0, endMs: 1, attributes: {}, error: undefined, links: [] },
  }));
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
};
const counter = () => {
  const each = { value: 0, add: (amount = 1) => void (each.value += amount) };
  return each;
};

let clock: ManualClock;
let bodies: string[];
let answer: (body: string, signal: AbortSignal) => Promise<ExportOutcome> | ExportOutcome;
let counters: Record<"sent" | "rejected" | "dropped", ReturnType<typeof counter>>;
let queue: SpanQueue;
beforeEach(() => {
  clock = new ManualClock();
  bodies = [];
  answer = () => ({ kind: "sent", rejected: 0, why: undefined });
  counters = { sent: counter(), rejected: counter(), dropped: counter() };
  queue = new SpanQueue({
    ...{ clock, counters, resource: { cluster: "stead", gateway: "g1" } },
    random: { bytes: () => new Uint8Array(), fraction: () => 0.5 },
    send: async (body, signal) => {
      bodies.push(body);
      return answer(body, signal);
    },
  });
});
const counted = () => [counters.sent.value, counters.rejected.value, counters.dropped.value];
const pass = async (ms: number): Promise<void> => {
  clock.advance(ms);
  await settle();
};
const sizeOf = (body: string | undefined): number => (body ?? "").split('"traceId"').length - 1;

test("spans that come together go together, in bounded batches", async () => {
  queue.add(spansOf(batchMax), "request");
  queue.add(spansOf(3, "late"), "failover");
  expect(bodies).toEqual([]);
  await pass(1_000);
  expect(bodies.map(sizeOf)).toEqual([batchMax, 3]);
  expect(counted()).toEqual([batchMax + 3, 0, 0]);
  expect(queue.queued).toBe(0);
});

test("a receiver that hangs keeps nothing but spans; more than fit are dropped, of requests first", async () => {
  answer = () => new Promise(() => undefined);
  queue.add(spansOf(1), "request");
  await pass(1_000);
  queue.add(spansOf(queuedSpansMax - reservedForFailovers - 1), "request");
  queue.add(spansOf(5), "request");
  expect(counted()).toEqual([0, 0, 5]);
  queue.add(spansOf(reservedForFailovers), "failover");
  queue.add(spansOf(9), "failover");
  expect(queue.queued).toBe(queuedSpansMax);
  expect(counted()).toEqual([0, 0, 14]);
});

test("a failed batch comes again, later and later, and is dropped in the end; the next one is tried", async () => {
  answer = () => ({ kind: "failed", why: "answered with 503", afterMs: undefined });
  queue.add(spansOf(2), "failover");
  await pass(1_000);
  expect(queue.failure).toBe("answered with 503");
  for (const wait of [1_000, 2_000, 4_000, 8_000]) {
    const before = bodies.length;
    await pass(wait - 1);
    expect(bodies).toHaveLength(before);
    await pass(1);
    expect(bodies).toHaveLength(before + 1);
  }
  await pass(16_000);
  expect(bodies).toHaveLength(exportAttemptsMax);
  expect(new Set(bodies).size).toBe(1);
  expect(counted()).toEqual([0, 0, 2]);
  answer = () => ({ kind: "sent", rejected: 0, why: undefined });
  queue.add(spansOf(1, "next"), "failover");
  await pass(1_000);
  expect(counted()).toEqual([1, 0, 2]);
  expect(queue.failure).toBeUndefined();
});

test("a receiver that asks for a longer pause gets it", async () => {
  answer = () => ({ kind: "failed", why: "answered with 429", afterMs: 20_000 });
  queue.add(spansOf(1), "failover");
  await pass(1_000);
  await pass(19_999);
  expect(bodies).toHaveLength(1);
  await pass(1);
  expect(bodies).toHaveLength(2);
});

test("what the receiver refuses is not sent again", async () => {
  answer = () => ({ kind: "refused", why: "answered with 400" });
  queue.add(spansOf(2), "failover");
  await pass(1_000);
  await pass(60_000);
  expect(bodies).toHaveLength(1);
  expect(counted()).toEqual([0, 2, 0]);
  expect(queue.failure).toBe("answered with 400");
  answer = () => ({ kind: "sent", rejected: 1, why: "too old" });
  queue.add(spansOf(3), "failover");
  await pass(1_000);
  expect(counted()).toEqual([2, 3, 0]);
  expect(queue.failure).toBe("1 spans were rejected: too old");
});

test("a gateway that stops waits for no receiver", async () => {
  answer = (_, signal) =>
    new Promise((resolve) =>
      signal.addEventListener("abort", () => resolve({ kind: "failed", why: "stopping", afterMs: undefined })),
    );
  queue.add(spansOf(2), "failover");
  await pass(1_000);
  await queue.close();
  queue.add(spansOf(1), "failover");
  expect(counted()).toEqual([0, 0, 3]);
  expect(clock.timers).toBe(0);
});
