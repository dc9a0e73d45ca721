/** Several listeners of one gateway, HTTP/2, and the Hono app, as the configuration has them. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { connect } from "node:tls";
import type { DataPlaneConfig } from "../../../src/config/types.ts";
import type { Gateway } from "../../../src/gateway/gateway.ts";
import { freePorts } from "../../../src/runtime/free-ports.ts";
import { defaultDataPlane } from "../../support/config/data-plane.ts";
import { TestCluster, testLimits, until } from "../../support/gateway/cluster.ts";
import { certificateA } from "../../support/http/certificates.ts";
import { exchange, RawClient } from "../../support/http/raw-client.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(() => cluster.stop());

async function start(change: Partial<DataPlaneConfig>): Promise<Gateway> {
  await cluster.addHost("a");
  const gateway = await cluster.startGateway({ dataPlane: { ...defaultDataPlane, ...change }, limits: testLimits });
  await cluster.serving();
  return gateway;
}

function certificate(): NonNullable<DataPlaneConfig["tls"]> {
  const [certPath, keyPath] = [join(cluster.folder, "a.pem"), join(cluster.folder, "a.key")];
  writeFileSync(certPath, certificateA.cert);
  writeFileSync(keyPath, certificateA.key);
  return { certPath, keyPath, names: [] };
}

const get = "GET /fields HTTP/1.1\r\nHost: notes.example:8000\r\nConnection: close\r\n\r\n";

function overTls(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
    socket.write(get);
  });
}

function overHttp2(port: number): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    session.on("error", reject);
    const stream = session.request({ ":path": "/fields", ":authority": "notes.example" });
    let status = 0;
    let body = "";
    stream.on("response", (headers) => (status = Number(headers[":status"])));
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    stream.on("close", () => {
      session.destroy();
      resolve({ status, body });
    });
  });
}

test("plain, TLS with HTTP/2, and a redirect: three ports of one gateway, with one count of connections", async () => {
  const [plain = 0, redirect = 0] = await freePorts(2);
  const own = await start({
    ...{ tls: certificate(), http2: true },
    listeners: [
      { address: { host: "127.0.0.1", port: plain }, serve: { kind: "plain" } },
      { address: { host: "127.0.0.1", port: redirect }, serve: { kind: "redirect", port: 443 } },
    ],
  });
  expect(await overTls(own.port)).toContain('"x-forwarded-proto":"https"');
  const second = await overHttp2(own.port);
  expect([second.status, second.body.includes('"x-forwarded-proto":"https"')]).toEqual([200, true]);
  expect(await exchange(plain, get)).toContain('"x-forwarded-proto":"http"');
  const moved = await exchange(redirect, get.replace("/fields", "/fields?a=b"));
  expect(moved).toStartWith("HTTP/1.1 308 ");
  expect(moved).toContain("\r\nLocation: https://notes.example/fields?a=b\r\n");
  const idle = [await RawClient.connect(plain), await RawClient.connect(redirect)];
  await until(() => own.status().connections === 2);
  for (const each of idle) each.destroy();
});

test("a port that is in use is named, and then the gateway listens nowhere", async () => {
  await cluster.addHost("a");
  const taken = listenOnly();
  const [first = 0] = await freePorts(1);
  const started = cluster.startGateway({
    listen: { host: "127.0.0.1", port: first },
    dataPlane: {
      ...defaultDataPlane,
      listeners: [{ address: { host: "127.0.0.1", port: taken.port }, serve: { kind: "plain" } }],
    },
  });
  await expect(started).rejects.toThrow(`127.0.0.1:${taken.port}`);
  expect(await exchange(first, get).catch((error: NodeJS.ErrnoException) => error.code)).toBe("ECONNREFUSED");
  taken.stop();
});

function listenOnly(): { readonly port: number; stop(): void } {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  return { port: server.port, stop: () => server.stop(true) };
}

test("gateway.app = true: HTTP/1.1 passes the Hono app, on plain and TLS listeners", async () => {
  const [plain = 0] = await freePorts(1);
  const gateway = await start({
    ...{ app: true, http2: true, tls: certificate() },
    listeners: [{ address: { host: "127.0.0.1", port: plain }, serve: { kind: "plain" } }],
  });
  for (const received of [await exchange(plain, get), await overTls(gateway.port)]) {
    expect(received).toStartWith("HTTP/1.1 200 ");
    expect(received).toContain('"x-forwarded-for":"127.0.0.1"');
  }
  expect((await overHttp2(gateway.port)).status).toBe(200);
  expect((await exchange(plain, "GET / HTTP/1.1\r\nHost: a\r\nBad Name: 1\r\n\r\n")).slice(0, 12)).toBe("HTTP/1.1 400");
});
