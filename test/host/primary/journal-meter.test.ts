import { expect, test } from "bun:test";
import { JournalMeter } from "../../../src/host/primary/journal-meter.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { sampleOf } from "../../support/metrics/promtool.ts";

function begin() {
  const clock = new ManualClock();
  const metrics = new PrometheusMetrics(hostMetrics);
  const sample = async (name: string): Promise<number | undefined> => sampleOf(await metrics.text(), name);
  return { clock, meter: new JournalMeter(metrics, clock), sample };
}

test("a part that waits at the gate is timed until it may leave, and what passes at once is not", async () => {
  const { clock, meter, sample } = begin();
  expect(meter.onGate(undefined)).toBeUndefined();
  const gate = Promise.withResolvers<undefined>();
  const waited = meter.onGate(gate.promise);
  expect(waited).toBe(gate.promise);
  clock.advance(40);
  gate.resolve(undefined);
  await waited;
  expect([await sample("stead_gate_wait_seconds_count"), await sample("stead_gate_wait_seconds_sum")]).toEqual([
    1, 0.04,
  ]);
});

test("a gate that never opens rejects as it did, and is not timed", async () => {
  const { meter, sample } = begin();
  const failure = await Promise.resolve(meter.onGate(Promise.reject(new Error("shut")))).catch(
    (error: unknown) => (error as Error).message,
  );
  expect([failure, await sample("stead_gate_wait_seconds_count")]).toEqual(["shut", 0]);
});

test("records are timed by their kind, and their pages counted", async () => {
  const { meter, sample } = begin();
  meter.onRecord({ kind: "commit", bytes: 8_192, tookMs: 3 });
  meter.onRecord({ kind: "commit", bytes: 4_096, tookMs: 5 });
  meter.onRecord({ kind: "renew", bytes: 0, tookMs: 1 });
  const counts = await Promise.all(
    ["commit", "renew", "vacate"].map((record) => sample(`stead_journal_put_seconds_count{record="${record}"}`)),
  );
  expect([
    ...counts,
    await sample('stead_journal_put_seconds_sum{record="commit"}'),
    await sample("stead_journal_bytes_total"),
  ]).toEqual([2, 1, undefined, 0.008, 12_288]);
});
