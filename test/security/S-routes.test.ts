/**
 * Found safe: every method and path of the APIs without the secret, requests that a browser makes in another site's
 * name (CSRF, DNS rebinding), bombs of JSON, statements that write, and redirects.
 *
 * Rule: without the secret an API tells its health and nothing else, not even which calls there are. The secret is
 * never taken from anything that a browser sends by itself, and no call of this program follows a redirect.
 * Smuggling is in test/http/conformance and test/http/fuzz, answers that are too large in `D1-answers` and `D2-memory`.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer } from "node:http";
import gatewayApi from "../../docs/openapi/gateway.json";
import hostApi from "../../docs/openapi/host.json";
import { ChannelClient } from "../../src/control/channel/client.ts";
import { anyOf } from "../../src/control/channel/transcript.ts";
import { callJson } from "../../src/control/json-call.ts";
import { clusterSecret } from "../../src/control/server/authentication.ts";
import { controlApp, type Controlled } from "../../src/host/control/control.ts";
import { hostMetrics } from "../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { secret, TestCluster } from "../support/gateway/cluster.ts";
import { RawClient } from "../support/http/raw-client.ts";

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;
const odd = [
  "/",
  "/v1/nothing",
  "/v1/peer/sync",
  "/v1/cluster/",
  "//v1/cluster",
  "/V1/cluster",
  "/v1/%63luster",
  "/.env",
];
const credentials = ["", "Bearer", "Bearer ", `Bearer ${secret}x`, `Basic ${btoa(`x:${secret}`)}`, secret];

const cluster = new TestCluster();
let base = "";
beforeAll(async () => {
  await cluster.addHost("a");
  const gateway = await cluster.startGateway();
  base = `http://127.0.0.1:${gateway.adminPort}`;
});
afterAll(() => cluster.stop());

const filled = (path: string): string => path.replaceAll(/\{[^}]+\}/g, "notes");
const paths = (api: { readonly paths: object }): string[] => [...Object.keys(api.paths).map(filled), ...odd];
/** What is told to anyone: health, and which versions of Hrana are spoken. */
const isOpen = (path: string): boolean => /^\/(?:liveness|health(?:\/notes)?|v[23])$/.test(path);

test("a gateway's admin API answers 401 to every method and path without the secret, in any form of it", async () => {
  let asked = 0;
  for (const path of paths(gatewayApi).filter((each) => !isOpen(each)))
    for (const method of methods)
      for (const authorization of credentials) {
        const { status } = await fetch(`${base}${path}?authorization=Bearer%20${secret}`, {
          ...{ method, headers: { authorization, cookie: `authorization=Bearer ${secret}` }, redirect: "manual" },
        });
        // 429: guesses from one address are limited, and not even read then.
        const isRefused = status === 401 || (status === 429 && authorization !== "");
        expect([method, path, authorization, status, isRefused]).toEqual([method, path, authorization, status, true]);
        asked++;
      }
  expect(asked).toBeGreaterThan(180);
  expect(cluster.gateway?.hostList().hosts.map(({ id }) => id)).toEqual(["a"]);
}, 60_000);

test("what is open tells its health to readers, and does nothing else", async () => {
  for (const path of paths(gatewayApi).filter(isOpen))
    for (const method of methods) {
      const answer = await fetch(`${base}${path}`, { method, redirect: "manual" });
      const isRead = method === "GET" || method === "HEAD";
      if (!isRead) expect([method, path, answer.status]).toEqual([method, path, 401]);
      expect(await answer.text()).not.toContain("127.0.0.1");
    }
}, 20_000);

test("a host's control API answers 401 to every method and path without the secret, and its host is not touched", async () => {
  const untouched = new Proxy({} as Controlled, {
    get(_, name) {
      throw new Error(`touched: ${String(name)}`);
    },
  });
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const app = controlApp(untouched, {
    ...{ authenticator: clusterSecret(secret), clock: systemClock, log: silent },
    metrics: new PrometheusMetrics(hostMetrics),
  });
  let asked = 0;
  for (const path of [...paths(hostApi), "/health", "/liveness"])
    for (const method of methods)
      for (const authorization of credentials) {
        const { status } = await app.request(`http://h${path}`, { method, headers: { authorization } });
        // 429: guesses from one address are limited, and not even read then.
        const isRefused = status === 401 || (status === 429 && authorization !== "");
        expect([method, path, authorization, status, isRefused]).toEqual([method, path, authorization, status, true]);
        asked++;
      }
  expect(asked).toBeGreaterThan(180);
}, 20_000);

test("a page of another site gets no permission, and a name that leads here (rebinding) no more than any other", async () => {
  const origin = "http://evil.example";
  const preflight = await fetch(`${base}/v1/failover`, {
    ...{ method: "OPTIONS", headers: { origin, "access-control-request-method": "POST" } },
  });
  const posted = await fetch(`${base}/v1/failover`, {
    ...{ method: "POST", headers: { origin, "content-type": "text/plain" }, body: '{"force":true}' },
  });
  for (const answer of [preflight, posted]) {
    expect(answer.status).toBe(401);
    expect([...answer.headers.keys()].filter((name) => name.startsWith("access-control-"))).toEqual([]);
  }
  const rebound = await RawClient.connect(Number(new URL(base).port));
  rebound.send("GET /v1/cluster HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  expect(await rebound.untilEnd()).toStartWith("HTTP/1.1 401");
  rebound.destroy();
});

test("JSON that is deep, long or of another shape is refused, and the gateway continues", async () => {
  const authorization = `Bearer ${secret}`;
  const deep = `${"[".repeat(50_000)}${"]".repeat(50_000)}`;
  for (const body of [
    deep,
    `{"sql":${deep}}`,
    `{"sql":"${"x".repeat(300_000)}"}`,
    '{"__proto__":{"force":true}}',
    '{"constructor":{"prototype":{"force":true}}}',
    "{",
    "null",
    "[]",
    "1e999999",
  ])
    for (const path of ["/v1/failover", "/v1/sql", "/v1/hosts", "/v3/pipeline", "/v1/peer/sync"]) {
      const answer = await fetch(`${base}${path}`, {
        ...{ method: "POST", headers: { authorization }, body, keepalive: false },
      });
      expect([path, body.slice(0, 40), Math.floor(answer.status / 100)]).toEqual([path, body.slice(0, 40), 4]);
    }
  expect(({} as { force?: boolean }).force).toBeUndefined();
  expect((await fetch(`${base}/liveness`)).status).toBe(200);
}, 30_000);

test("no statement writes", async () => {
  for (const sql of [
    "delete from hosts",
    "insert into events select * from events",
    "drop table hosts",
    "create table t (a)",
    "attach database ':memory:' as m",
    "vacuum into '/tmp/stead-stolen.db'",
    "pragma writable_schema = 1",
    "with x as (select 1) delete from hosts",
    "select 1; delete from hosts",
    "select load_extension('x')",
    "select writefile('/tmp/stead-x', 'x')",
    "select readfile('/etc/passwd')",
  ]) {
    const answer = await fetch(`${base}/v1/sql`, {
      ...{ method: "POST", headers: { authorization: `Bearer ${secret}` }, body: JSON.stringify({ sql }) },
    });
    expect([sql, answer.ok]).toEqual([sql, false]);
  }
});

test("a call follows no redirect, so that its credentials go nowhere else", async () => {
  let followed = 0;
  const thief = createServer((_, response) => {
    followed++;
    response.end("{}");
  });
  await new Promise<void>((resolve) => thief.listen(0, "127.0.0.1", resolve));
  const { port: thiefPort } = thief.address() as { port: number };
  for (const status of [301, 302, 303, 307, 308]) {
    const server = createServer((_, response) =>
      response.writeHead(status, { location: `http://127.0.0.1:${thiefPort}/` }).end("{}"),
    );
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const call = { method: "GET", path: "/v1/status", timeoutMs: 5_000 } as const;
    const channel = ChannelClient.ofOperator(secret, systemClock);
    const options = { baseUrl: `http://127.0.0.1:${port}`, caller: channel, to: anyOf("host"), clock: systemClock };
    expect(await callJson(options, call)).toMatchObject({ kind: "invalid" });
    server.close();
  }
  expect(followed).toBe(0);
  thief.close();
});
