import { afterEach, beforeEach, expect, test } from "bun:test";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { exporterTo, exportRequestOf } from "../../../src/gateway/traces/otlp.ts";
import type { Span } from "../../../src/gateway/traces/span.ts";
import { programVersion } from "../../../src/runtime/program-version.ts";

const span: Span = {
  ...{ traceId: "4bf92f3577b34da6a3ce929d0e0e4736", spanId: "00f067aa0ba902b7", parentSpanId: "1".repeat(16) },
  ...{ name: "stead.failover.claim", startMs: 1_893_456_000_000.5, endMs: 1_893_456_000_012.25 },
  attributes: {
    "stead.service": "notes",
    "stead.epoch.to": 8,
    "stead.failover.gap_ms": 0.5,
    gone: undefined,
    on: true,
  },
  ...{ error: undefined, links: [] },
};
const never = new AbortController().signal;

let server: Server;
let received: { headers: IncomingHttpHeaders; body: string }[];
let answer: { status: number; headers?: Record<string, string>; body?: string } | undefined;
beforeEach(async () => {
  received = [];
  answer = { status: 200, body: "{}" };
  server = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      received.push({ headers: request.headers, body });
      if (answer !== undefined) response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const exporter = (timeoutMs = 10_000) =>
  exporterTo({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/traces`,
    ...{ headers: { authorization: "Bearer t0ken" }, sample: 1, timeoutMs },
  });

test("the JSON is that of the specification: hexadecimal ids, times and integers as strings, enumerations as numbers", () => {
  expect(exportRequestOf([span], { cluster: "prod", gateway: "g1" })).toEqual({
    resourceSpans: [
      {
        resource: {
          attributes: [
            { key: "service.name", value: { stringValue: "stead" } },
            { key: "service.namespace", value: { stringValue: "prod" } },
            { key: "service.instance.id", value: { stringValue: "g1" } },
            { key: "service.version", value: { stringValue: programVersion } },
          ],
        },
        scopeSpans: [
          {
            scope: { name: "stead", version: programVersion },
            spans: [
              {
                traceId: "4bf92f3577b34da6a3ce929d0e0e4736",
                spanId: "00f067aa0ba902b7",
                parentSpanId: "1111111111111111",
                name: "stead.failover.claim",
                kind: 1,
                startTimeUnixNano: "1893456000000500000",
                endTimeUnixNano: "1893456000012250000",
                attributes: [
                  { key: "stead.service", value: { stringValue: "notes" } },
                  { key: "stead.epoch.to", value: { intValue: "8" } },
                  { key: "stead.failover.gap_ms", value: { doubleValue: 0.5 } },
                  { key: "on", value: { boolValue: true } },
                ],
              },
            ],
          },
        ],
      },
    ],
  });
});

test("a root span has no parent, an error has a status, links are named", () => {
  const link = { traceId: "a".repeat(32), spanId: "b".repeat(16) };
  const request = exportRequestOf([{ ...span, parentSpanId: undefined, error: "refused", links: [link] }], {
    ...{ cluster: "prod", gateway: "g1" },
  }) as { resourceSpans: { scopeSpans: { spans: object[] }[] }[] };
  const [told] = request.resourceSpans[0]?.scopeSpans[0]?.spans ?? [];
  expect(told).toMatchObject({ status: { code: 2, message: "refused" }, links: [link] });
  expect(told).not.toHaveProperty("parentSpanId");
});

test("spans are posted as JSON with the configured headers", async () => {
  expect(await exporter()("{}", never)).toEqual({ kind: "sent", rejected: 0, why: undefined });
  expect(received[0]).toMatchObject({
    headers: { "content-type": "application/json", authorization: "Bearer t0ken" },
    body: "{}",
  });
});

test("a receiver may take a part", async () => {
  answer = { status: 200, body: JSON.stringify({ partialSuccess: { rejectedSpans: "3", errorMessage: "too old" } }) };
  expect(await exporter()("{}", never)).toEqual({ kind: "sent", rejected: 3, why: "too old" });
  answer = { status: 200, body: "taken" };
  expect(await exporter()("{}", never)).toEqual({ kind: "sent", rejected: 0, why: undefined });
});

test.each([429, 502, 503, 504])("%d is worth another attempt", async (status) => {
  answer = { status };
  expect(await exporter()("{}", never)).toEqual({ kind: "failed", why: `answered with ${status}`, afterMs: undefined });
});

test("a pause that the receiver asks for is kept", async () => {
  answer = { status: 503, headers: { "retry-after": "7" } };
  expect(await exporter()("{}", never)).toMatchObject({ kind: "failed", afterMs: 7_000 });
});

test.each([400, 401, 413, 500, 307])("%d is final, and a redirection is not followed", async (status) => {
  answer = { status, headers: status === 307 ? { location: "/elsewhere" } : {} };
  expect(await exporter()("{}", never)).toEqual({ kind: "refused", why: `answered with ${status}` });
  expect(received).toHaveLength(1);
});

test("no answer in time, no receiver, and a gateway that stops are failures", async () => {
  answer = undefined;
  expect(await exporter(100)("{}", never)).toMatchObject({ kind: "failed" });
  const stop = new AbortController();
  const sending = exporter()("{}", stop.signal);
  stop.abort(new Error("the gateway is stopping"));
  expect(await sending).toMatchObject({ kind: "failed", why: "the gateway is stopping" });
  const closed = exporterTo({ endpoint: "http://127.0.0.1:1/v1/traces", headers: {}, sample: 1, timeoutMs: 5_000 });
  expect(await closed("{}", never)).toMatchObject({ kind: "failed" });
});
