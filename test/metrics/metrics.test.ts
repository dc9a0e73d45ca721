import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { addDelta, DeltaMetrics } from "../../src/metrics/deltas.ts";
import { gatewayMetrics } from "../../src/metrics/gateway-metrics.ts";
import { hostMetrics } from "../../src/metrics/host-metrics.ts";
import { definitions, type Metrics, noMetrics } from "../../src/metrics/metrics.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { metricsTable } from "../support/metrics/documented.ts";
import { sampleOf } from "../support/metrics/promtool.ts";

/** Each with what a scrape sees of it. */
const implementations: readonly [name: string, make: () => { metrics: Metrics; scrape(): Promise<string> }][] = [
  [
    "the metrics that are scraped",
    () => {
      const metrics = new PrometheusMetrics(gatewayMetrics);
      return { metrics, scrape: () => metrics.text() };
    },
  ],
  [
    "the metrics of a worker, through its reports",
    () => {
      const metrics = new DeltaMetrics();
      const scraped = new PrometheusMetrics(gatewayMetrics);
      const scrape = (): Promise<string> => {
        for (const delta of JSON.parse(JSON.stringify(metrics.take())) as ReturnType<DeltaMetrics["take"]>)
          addDelta(scraped, delta);
        return scraped.text();
      };
      return { metrics, scrape };
    },
  ],
];

describe.each(implementations)("%s", (_, make) => {
  test("count what is added, for the same labels together and for others apart, over many scrapes", async () => {
    const { metrics, scrape } = make();
    const first = metrics.counter("stead_failovers_total", { service: "notes" });
    first.add();
    metrics.counter("stead_failovers_total", { service: "notes" }).add(2);
    metrics.counter("stead_failovers_total", { service: "ledger" }).add();
    expect(sampleOf(await scrape(), 'stead_failovers_total{service="notes"}')).toBe(3);
    first.add();
    const text = await scrape();
    expect(sampleOf(text, 'stead_failovers_total{service="notes"}')).toBe(4);
    expect(sampleOf(text, 'stead_failovers_total{service="ledger"}')).toBe(1);
    expect(await scrape()).toBe(text);
  });

  test("put each observation into every bucket that it is not above, and a value on a bound into its bucket", async () => {
    const { metrics, scrape } = make();
    const gap = metrics.histogram("stead_failover_gap_seconds", { service: "notes" });
    for (const value of [0.5, 0.51, 1_000]) gap.observe(value);
    await scrape();
    gap.observe(0);
    const text = await scrape();
    const upTo = (le: string): number | undefined =>
      sampleOf(text, `stead_failover_gap_seconds_bucket{service="notes",le="${le}"}`);
    expect(["0.005", "0.3", "0.5", "0.75", "60", "+Inf"].map(upTo)).toEqual([1, 1, 2, 3, 3, 4]);
    expect(sampleOf(text, 'stead_failover_gap_seconds_count{service="notes"}')).toBe(4);
    expect(sampleOf(text, 'stead_failover_gap_seconds_sum{service="notes"}')).toBeCloseTo(1_001.01);
  });

  test("tell labels apart whatever is in them", async () => {
    const { metrics, scrape } = make();
    for (const [service, result] of [
      ['a","b', "c"],
      ["a", 'b","c'],
      ["a\\", "b"],
      ["line\nbreak", "b"],
    ] as const)
      metrics.histogram("stead_hold_duration_seconds", { service, result }).observe(1);
    const text = await scrape();
    expect(
      text
        .split("\n")
        .filter((line) => line.startsWith("stead_hold_duration_seconds_count"))
        .sort(),
    ).toEqual([
      'stead_hold_duration_seconds_count{service="a",result="b\\",\\"c"} 1',
      'stead_hold_duration_seconds_count{service="a\\",\\"b",result="c"} 1',
      'stead_hold_duration_seconds_count{service="a\\\\",result="b"} 1',
      'stead_hold_duration_seconds_count{service="line\\nbreak",result="b"} 1',
    ]);
  });
});

test("metrics that keep nothing accept every value", () => {
  noMetrics.counter("stead_failovers_total", { service: "notes" }).add();
  noMetrics.histogram("stead_gate_wait_seconds", {}).observe(1);
  noMetrics.show("stead_up", [[{ gateway: "g1" }, 1]]);
});

describe("the tables of metrics", () => {
  test("are those of docs/METRICS.md", () => {
    const text = readFileSync(join(import.meta.dirname, "../../docs/METRICS.md"), "utf8");
    const tables = text
      .split("\n\n")
      .filter((block) => block.startsWith("| metric |"))
      .map((block) => block.trimEnd());
    expect(tables).toEqual([metricsTable(gatewayMetrics), metricsTable(hostMetrics)]);
    for (const [name] of text.matchAll(/\bstead_[a-z_]*[a-z]/g))
      expect(Object.keys(definitions)).toContain(name.replace(/_(bucket|sum|count)$/, ""));
  });

  test("share no name: a dashboard would add up what a gateway and a host say", () => {
    expect(Object.keys(definitions).length).toBe(Object.keys(gatewayMetrics).length + Object.keys(hostMetrics).length);
  });

  test("name counters, and only counters, with _total, and give every histogram ascending buckets", () => {
    for (const [name, definition] of Object.entries(definitions)) {
      expect([name, name.endsWith("_total")]).toEqual([name, definition.kind === "counter"]);
      const buckets: readonly number[] = "buckets" in definition ? definition.buckets : [];
      expect([name, buckets.length > 0]).toEqual([name, definition.kind === "histogram"]);
      expect(buckets).toEqual([...new Set(buckets)].toSorted((a, b) => a - b));
    }
  });
});
