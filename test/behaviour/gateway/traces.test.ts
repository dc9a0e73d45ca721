/** Spans of a failover and of requests that waited for it: through a whole gateway, with fake hosts as processes. */
import { afterEach, expect, test } from "bun:test";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { selfCommand } from "../../../src/runtime/self-command.ts";
import { TestCluster, until } from "../../support/gateway/cluster.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface ToldSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly links?: readonly object[];
}

/** `answers` false: it takes requests and says nothing. */
async function receiver(answers: boolean) {
  const spans: ToldSpan[] = [];
  const requests: string[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part: Buffer) => (text += part.toString()));
    request.on("end", () => {
      requests.push(`${request.method} ${request.url}`);
      const { resourceSpans } = JSON.parse(text) as { resourceSpans: { scopeSpans: { spans: ToldSpan[] }[] }[] };
      spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans: each }) => each)));
      if (answers) response.end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { spans, requests, endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces` };
}

async function clusterTo(endpoint: string, workers = 1): Promise<TestCluster> {
  const cluster = new TestCluster();
  closing.push(() => cluster.stop());
  for (const id of ["a", "b", "c"]) await cluster.addHost(id, { startMs: 200 });
  const worker = [...selfCommand(), "gateway-worker", "g1"] as const;
  const traces = { endpoint, headers: {}, sample: 1, timeoutMs: 600_000 };
  await cluster.startGateway({ traces, workers }, { worker });
  return cluster;
}

async function spansCounted(cluster: TestCluster, outcome: string): Promise<number> {
  const text = (await cluster.gateway?.metrics.text()) ?? "";
  const [, count] = new RegExp(`^stead_trace_spans_total\\{outcome="${outcome}"\\} (\\d+)$`, "m").exec(text) ?? [];
  return Number(count);
}

const client = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", parentId: "00f067aa0ba902b7" };
const traceparent = `00-${client.traceId}-${client.parentId}-01`;

test.each([1, 2])(
  "a failover is a trace, and a request that waited for it has spans in its own; %d workers",
  async (workers) => {
    const { spans, requests, endpoint } = await receiver(true);
    const cluster = await clusterTo(endpoint, workers);
    const first = (await cluster.serving()).primary ?? "";
    await cluster.ask();
    // Known here a moment later than there: without an earlier answer there is no gap.
    await until(() => cluster.service().requests.ok > 0);
    await cluster.host(first).end();
    const response = await fetch(`http://127.0.0.1:${cluster.gateway?.port ?? 0}/fields`, { headers: { traceparent } });
    // The application gets what the client sent.
    expect(await response.json()).toMatchObject({ fields: { traceparent } });
    await cluster.serving(first);
    await until(
      () =>
        spans.some(({ name }) => name === "stead.failover.gap") &&
        spans.some(({ traceId }) => traceId === client.traceId),
    );
    await cluster.client.switchover({});
    const whole = await until(() => spans.find(({ name }) => name === "stead.switchover"));
    expect(spans.filter(({ traceId }) => traceId === whole.traceId).map(({ name }) => name)).toContain(
      "stead.failover.demote",
    );

    const failover = spans.find(
      ({ name, traceId }) =>
        name === "stead.failover" &&
        spans.some((each) => each.traceId === traceId && each.name === "stead.failover.gap"),
    );
    const phases = spans.filter(({ parentSpanId }) => parentSpanId === failover?.spanId);
    for (const phase of ["detect", "claim", "start", "route", "gap"])
      expect(phases.map(({ name }) => name)).toContain(`stead.failover.${phase}`);
    const own = spans.filter(({ traceId }) => traceId === client.traceId);
    expect(own.map(({ name }) => name)).toContain("stead.request.hold");
    for (const { parentSpanId, links } of own)
      expect({ parentSpanId, links }).toEqual({
        parentSpanId: client.parentId,
        links: [{ traceId: failover?.traceId, spanId: failover?.spanId }],
      });
    for (const { startTimeUnixNano, endTimeUnixNano } of spans)
      expect(BigInt(endTimeUnixNano) >= BigInt(startTimeUnixNano)).toBe(true);
    expect(new Set(requests)).toEqual(new Set(["POST /v1/traces"]));
    await until(async () => (await spansCounted(cluster, "sent")) === spans.length);
  },
);

test("a receiver that hangs delays neither a failover nor a request, nor the end of the gateway", async () => {
  const hanging = await receiver(false);
  const cluster = await clusterTo(hanging.endpoint);
  const first = (await cluster.serving()).primary ?? "";
  await until(() => hanging.spans.length > 0);
  await cluster.host(first).end();
  const second = (await cluster.serving(first)).primary ?? "";
  expect(await cluster.ask()).toEqual({ status: 200, host: second });
  await cluster.host(second).end();
  const third = (await cluster.serving(second)).primary;
  expect(await cluster.ask()).toEqual({ status: 200, host: third });
  expect(hanging.requests).toHaveLength(1);
  await cluster.gateway?.close(0);
  expect(await spansCounted(cluster, "dropped")).toBeGreaterThan(0);
});
