/**
 * What Prometheus gets of a gateway with two workers and of its hosts, on real processes, through a failover and a
 * crash of the application.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { demoApplication } from "../../harness/applications.ts";
import { gatewayMetrics } from "../../src/metrics/gateway-metrics.ts";
import { hostMetrics } from "../../src/metrics/host-metrics.ts";
import { freePorts } from "../../src/runtime/free-ports.ts";
import { alertQueries, dashboardQueries, rulesFile } from "../support/metrics/examples.ts";
import { hasPromtool, sampleOf } from "../support/metrics/promtool.ts";
import { type Bench, never, openBench } from "./harness.ts";

setDefaultTimeout(90_000);

const withinMs = 30_000;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

/** The package prometheus has both. */
const hasPrometheus = hasPromtool;

const namesIn = (text: string): string[] => [...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name ?? "");

test("a gateway and its hosts tell all of their metrics, to those that have the secret: writes, waits, a failover and its gap", async () => {
  const cluster = await bench.cluster({ hosts: 2, gateways: 1, application: demoApplication("notes", bench.folder) });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  writeFileSync(
    gateway.configFile,
    readFileSync(gateway.configFile, "utf8").replace("[gateway]\n", "[gateway]\nworkers = 2\n"),
  );
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  const first = await cluster.whenWhole(withinMs, never);
  const scrape = async (url: string): Promise<string> => {
    const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${cluster.secret}` } });
    expect([answer.status, answer.headers.get("content-type")]).toEqual([
      200,
      "text/plain; version=0.0.4; charset=utf-8",
    ]);
    return answer.text();
  };
  const write = async (): Promise<boolean> =>
    (await fetch(`${gateway.url}/notes`, { method: "POST", body: JSON.stringify({ text: "x" }) })).status === 201;
  // Until the gateway listens, and its admin address after that.
  await until(() => write().catch(() => false));
  await until(() =>
    scrape(gateway.adminUrl).then(
      () => true,
      () => false,
    ),
  );
  for (const url of [gateway.adminUrl, first.controlUrl]) expect((await fetch(`${url}/metrics`)).status).toBe(401);
  for (let i = 0; i < 20; i++) await write();

  const ofHost = await scrape(first.controlUrl);
  expect(namesIn(ofHost)).toEqual(Object.keys(hostMetrics));
  expect(sampleOf(ofHost, `stead_host_info{service="notes",host="${first.id}"}`)).toBe(1);
  expect(sampleOf(ofHost, 'stead_role{role="primary"}')).toBe(1);
  for (const each of [
    "stead_gate_wait_seconds_count",
    'stead_journal_put_seconds_count{record="commit"}',
    'stead_vault_operation_seconds_count{operation="put",result="ok"}',
    "stead_application_first_byte_seconds_count",
  ]) {
    expect([each, (sampleOf(ofHost, each) ?? 0) >= 20]).toEqual([each, true]);
  }
  expect(sampleOf(ofHost, "stead_journal_bytes_total")).toBeGreaterThan(20 * 4_096);
  expect(sampleOf(ofHost, "stead_application_ready")).toBe(1);
  // Measured at intervals.
  await until(async () => (sampleOf(await scrape(first.controlUrl), "stead_capture_wal_bytes") ?? 0) > 0);

  // Of the workers, with their next report.
  const answered = async (): Promise<number> =>
    sampleOf(await scrape(gateway.adminUrl), 'stead_upstream_first_byte_seconds_count{service="notes"}') ?? 0;
  await until(async () => (await answered()) >= 21);
  const before = await scrape(gateway.adminUrl);
  expect(namesIn(before)).toEqual(Object.keys(gatewayMetrics));
  expect(sampleOf(before, "stead_connections_accepted_total")).toBeGreaterThan(0);
  expect(sampleOf(before, 'stead_requests_total{service="notes",end="ok"}')).toBeGreaterThanOrEqual(21);
  const failovers = sampleOf(before, 'stead_failovers_total{service="notes"}') ?? 0;

  first.process?.signal("SIGKILL");
  await first.process?.ended;
  // Those that find no connection wait in the hold; one that was lost with its connection waits for another epoch.
  await Promise.all(Array.from({ length: 8 }, write));
  await until(async () => (await write()) && (await cluster.primary())?.host.id !== first.id);
  // A gap ends with an answer after the failover; the workers tell of it with their next report.
  const gaps = async (): Promise<number> =>
    sampleOf(await scrape(gateway.adminUrl), 'stead_failover_gap_seconds_count{service="notes"}') ?? 0;
  await until(async () => (await write()) && (await gaps()) > 0);
  const after = await scrape(gateway.adminUrl);
  expect(sampleOf(after, 'stead_failovers_total{service="notes"}')).toBe(failovers + 1);
  // At most once each, and not at all for a promotion whose answer came later than its host's report of the same.
  const claims = sampleOf(after, 'stead_failover_phase_seconds_count{service="notes",phase="claim"}');
  expect(claims).toBeGreaterThan(0);
  expect(claims).toBeLessThanOrEqual(failovers + 1);
  expect(sampleOf(after, 'stead_hold_duration_seconds_count{service="notes",result="released"}')).toBeGreaterThan(0);
});

const testPrometheus = hasPrometheus ? test : test.skip;
testPrometheus(
  "a real Prometheus scrapes a gateway and a host, answers each query of the dashboard, and evaluates each alert (needs prometheus)",
  async () => {
    const cluster = await bench.cluster({ hosts: 2, gateways: 1, application: demoApplication("notes", bench.folder) });
    await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
    await cluster.whenWhole(withinMs, never);
    const targets = (members: readonly { readonly controlUrl?: string; readonly adminUrl?: string }[]): string[] =>
      members.map(({ controlUrl, adminUrl }) => new URL(controlUrl ?? adminUrl ?? "").host);
    const prometheus = await startPrometheus(bench.folder, cluster.secret, {
      "stead-gateway": targets(cluster.gateways),
      "stead-host": targets(cluster.hosts),
    });
    try {
      const ask = async (path: string): Promise<{ status: string; data: PrometheusData }> =>
        (await fetch(`${prometheus.url}/api/v1/${path}`)).json() as never;
      const valuesOf = async (query: string): Promise<string[]> =>
        (await ask(`query?query=${encodeURIComponent(query)}`)).data.result?.map(({ value }) => value?.[1] ?? "") ?? [];
      await until(() =>
        valuesOf("up").then(
          (up) => up.join() === "1,1,1",
          () => false,
        ),
      );
      await until(async () => (await valuesOf('max(stead_serving{service="notes"})')).join() === "1");
      for (const [panel, query] of dashboardQueries("notes"))
        expect([panel, (await ask(`query?query=${encodeURIComponent(query)}`)).status]).toEqual([panel, "success"]);
      const rulesNow = async (): Promise<readonly EvaluatedRule[]> =>
        (await ask("rules")).data.groups?.flatMap(({ rules }) => rules) ?? [];
      await until(async () => (await rulesNow()).every(({ health }) => health !== "unknown"));
      const rules = await rulesNow();
      expect(rules.map(({ name, health }) => [name, health])).toEqual(
        [...alertQueries().keys()].map((name) => [name, "ok"]),
      );
      expect(rules.filter(({ state }) => state === "firing").map(({ name }) => name)).toEqual([]);
    } finally {
      await prometheus.close();
    }
  },
);

interface EvaluatedRule {
  readonly name: string;
  readonly health: string;
  readonly state: string;
}

interface PrometheusData {
  readonly result?: readonly { readonly value?: readonly [number, string] }[];
  readonly groups?: readonly { readonly rules: readonly EvaluatedRule[] }[];
}

/** Scrapes once a second with the cluster's secret. */
async function startPrometheus(
  parent: string,
  secret: string,
  jobs: Readonly<Record<string, readonly string[]>>,
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const folder = join(parent, "prometheus");
  mkdirSync(folder);
  const [port] = await freePorts(1);
  const scrapes = Object.entries(jobs).map(([job, targets]) => ({
    job_name: job,
    authorization: { credentials: secret },
    static_configs: [{ targets }],
  }));
  const config = {
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: [rulesFile],
    scrape_configs: scrapes,
  };
  // JSON is YAML.
  writeFileSync(join(folder, "prometheus.yml"), JSON.stringify(config), { mode: 0o600 });
  const process = Bun.spawn(
    [
      "prometheus",
      `--config.file=${join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    { stdout: "ignore", stderr: "ignore" },
  );
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      process.kill();
      await process.exited;
    },
  };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}
