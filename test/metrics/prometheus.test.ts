import { expect, test } from "bun:test";
import type { Definitions } from "../../src/metrics/definition.ts";
import { gatewayMetrics } from "../../src/metrics/gateway-metrics.ts";
import { hostMetrics } from "../../src/metrics/host-metrics.ts";
import type { Counter, Histogram } from "../../src/metrics/metrics.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { hasPromtool, promtoolComplaints, sampleOf } from "../support/metrics/promtool.ts";

test.each([
  ["gateway", gatewayMetrics],
  ["host", hostMetrics],
] as const)(
  "every metric of a %s has its help and its type from the start, and none that is not in the table",
  async (_, table) => {
    const text = await new PrometheusMetrics(table).text();
    const described = [...text.matchAll(/^# HELP (\w+) (.+)\n# TYPE \1 (\w+)$/gm)].map(([, name, help, kind]) => [
      name,
      help,
      kind,
    ]);
    expect(described).toEqual(Object.entries(table).map(([name, { help, kind }]) => [name, help, kind]));
  },
);

test("the values that are shown last are the samples of the next scrape, and no earlier ones are", async () => {
  const metrics = new PrometheusMetrics(gatewayMetrics);
  metrics.show("stead_host_up", [
    [{ service: "notes", host: "a" }, 1],
    [{ service: "notes", host: "b" }, 0],
  ]);
  expect(sampleOf(await metrics.text(), 'stead_host_up{service="notes",host="b"}')).toBe(0);
  metrics.show("stead_host_up", [[{ service: "notes", host: "a" }, 0]]);
  const text = await metrics.text();
  expect([
    sampleOf(text, 'stead_host_up{service="notes",host="a"}'),
    sampleOf(text, 'stead_host_up{service="notes",host="b"}'),
  ]).toEqual([0, undefined]);
});

test("a counter is 0 before anything has happened, so that its first increase is seen", async () => {
  const metrics = new PrometheusMetrics(gatewayMetrics);
  metrics.counter("stead_failovers_total", { service: "notes" });
  expect(sampleOf(await metrics.text(), 'stead_failovers_total{service="notes"}')).toBe(0);
});

test("a metric of another process is refused, and so is a tally of other buckets", () => {
  const metrics = new PrometheusMetrics(gatewayMetrics);
  expect(() => metrics.histogram("stead_gate_wait_seconds", {})).toThrow(
    "stead_gate_wait_seconds is not a metric of this process",
  );
  expect(() =>
    metrics.histogram("stead_failover_gap_seconds", { service: "notes" }).merge({ counts: [1, 2], sum: 3 }),
  ).toThrow(RangeError);
});

test.skipIf(!hasPromtool).each([
  ["gateway", gatewayMetrics],
  ["host", hostMetrics],
] as const)(
  "Prometheus' own check finds nothing wrong with the metrics of a %s, each with samples",
  async (_, table: Definitions) => {
    const metrics = new PrometheusMetrics(table);
    // By their names as texts: the compiler checks single ones only.
    const named = metrics as unknown as {
      counter(...of: unknown[]): Counter;
      histogram(...of: unknown[]): Histogram;
      show(name: string, samples: unknown[]): void;
    };
    for (const [name, { kind, labels }] of Object.entries(table)) {
      const values = Object.fromEntries(labels.map((label) => [label, 'a "quoted" \\ é\n']));
      if (kind === "counter") named.counter(name, values).add(3);
      else if (kind === "histogram") named.histogram(name, values).observe(0.25);
      else named.show(name, [[values, 0.5]]);
    }
    const text = await metrics.text();
    expect(text.split("\n").filter((line) => /^stead_\w+[ {]/.test(line)).length).toBeGreaterThan(
      Object.keys(table).length,
    );
    expect(promtoolComplaints(text)).toBe("");
    expect(promtoolComplaints(`${text}not a metric\n`)).not.toBe("");
  },
);
