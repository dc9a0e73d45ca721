/** The Hono catch-all, under Bun.serve and @hono/node-server: same hold, same replay, same limits as the listener. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { serve } from "@hono/node-server";
import type { AddressInfo } from "node:net";
import { createProxyApp } from "../../../src/gateway/route/proxy-app.ts";
import { Hold } from "../../../src/http/proxy/hold.ts";
import { Proxy } from "../../../src/http/proxy/proxy.ts";
import { HttpServer } from "../../../src/http/server/server.ts";
import { Upstream } from "../../../src/http/upstream/upstream.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { RawBackend, type BackendConnection } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

type App = ReturnType<typeof createProxyApp>;
const runtimes: [string, (app: App) => Promise<{ port: number; stop(): Promise<void> }>][] = [
  [
    "Bun.serve",
    async (app) => {
      const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch });
      return { port: server.port ?? 0, stop: () => server.stop(true) };
    },
  ],
  [
    "@hono/node-server",
    (app) =>
      new Promise((resolve) => {
        const server = serve(
          { fetch: app.fetch, hostname: "127.0.0.1", port: 0, overrideGlobalObjects: false },
          (info: AddressInfo) =>
            resolve({
              port: info.port,
              stop: () => {
                if ("closeAllConnections" in server) server.closeAllConnections();
                return new Promise<void>((done) => server.close(() => done()));
              },
            }),
        );
      }),
  ],
];

describe.each(runtimes)("under %s", (_name, listen) => {
  let onData: (connection: BackendConnection) => void = () => undefined;
  let backend: RawBackend;
  let upstream: Upstream;
  let hold: Hold;
  let server: HttpServer;
  let url = "";
  let stop: () => Promise<void>;

  beforeAll(async () => {
    backend = await RawBackend.listen((connection) => onData(connection));
    const limits = { bodyBytesMax: 1_000_000 };
    upstream = new Upstream({ host: "127.0.0.1", port: backend.port, clock: systemClock, limits });
    hold = new Hold(
      { requestsMax: 10, bytesMax: 2 ** 24, waitMsMax: 10_000, releaseConcurrency: 4, clock: systemClock },
      "open",
    );
    const proxy = new Proxy({
      route: { current: () => upstream, whenServing: () => hold },
      clock: systemClock,
      patienceMs: 10_000,
    });
    server = await HttpServer.listen({
      host: "127.0.0.1",
      port: 0,
      clock: systemClock,
      limits,
      onExchange: (exchange) => proxy.handle(exchange),
    });
    const started = await listen(createProxyApp(server, () => ({ address: "203.0.113.5", port: 1, secure: false })));
    url = `http://127.0.0.1:${started.port}`;
    stop = started.stop;
  });
  afterAll(async () => {
    await stop();
    await server.close({ drainMs: 0 });
    upstream.abort("over");
    await backend.close();
  });
  beforeEach(() => hold.open());
  afterEach(() => {
    onData = () => undefined;
  });

  /** Answers each request, whole with its body, with what `answer` gives for it. */
  const answering = (answer: (request: string) => string): void => {
    onData = (connection) => {
      const end = connection.received.indexOf("\r\n\r\n");
      if (end === -1) return;
      const head = connection.received.slice(0, end + 4);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      const whole = /transfer-encoding: chunked/i.test(head)
        ? connection.received.endsWith("0\r\n\r\n")
        : connection.received.length >= head.length + length;
      if (!whole) return;
      const request = connection.received;
      connection.received = "";
      connection.socket.write(answer(request), "latin1");
    };
  };

  test("target, status, fields and repeated Set-Cookie come through", async () => {
    let seen = "";
    answering((request) => {
      seen = request;
      return "HTTP/1.1 418 Teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own: yes\r\nContent-Length: 5\r\n\r\nshort";
    });
    const response = await fetch(`${url}/a%2Fb?x=%20y`, { headers: { "X-Client": "z" } });
    expect([
      response.status,
      await response.text(),
      response.headers.get("x-own"),
      response.headers.getSetCookie(),
    ]).toEqual([418, "short", "yes", ["a=1", "b=2"]]);
    expect(seen).toStartWith("GET /a%2Fb?x=%20y HTTP/1.1\r\n");
    expect(seen.toLowerCase()).toContain("\r\nx-client: z\r\n");
  });

  test("a body goes through in both directions, and HEAD has none", async () => {
    answering((request) =>
      request.startsWith("HEAD")
        ? "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
        : `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${request.length.toString(16)}\r\n${request}\r\n0\r\n\r\n`,
    );
    const body = "0123456789".repeat(20_000);
    const text = await (await fetch(url, { method: "POST", body })).text();
    expect(text.includes(body.slice(0, 1000)) && text.length > body.length).toBe(true);
    const head = await fetch(url, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });

  test("a stream arrives piece by piece", async () => {
    onData = ({ socket }) =>
      void socket.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: 1\r\n",
      );
    const response = await fetch(url);
    const reader = (response.body as ReadableStream<Uint8Array<ArrayBuffer>>).getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("data: 1");
    backend.last.socket.write("7\r\ndata: 2\r\n0\r\n\r\n");
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("data: 2");
    expect((await reader.read()).done).toBe(true);
  });

  test("requests are held while there is no primary and answered afterwards", async () => {
    answering(() => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    hold.close();
    const answers = [1, 2, 3].map(async (nth) => (await fetch(`${url}/${nth}`, { method: "POST", body: "x" })).text());
    await waitFor(() => hold.waiting === 3);
    hold.open();
    expect(await Promise.all(answers)).toEqual(["ok", "ok", "ok"]);
  });

  test("a request that the host did not execute is resent, one that it may have executed is not", async () => {
    let times = 0;
    answering(() =>
      ++times === 1
        ? "HTTP/1.1 503 No\r\nStead-Outcome: not-executed\r\nContent-Length: 0\r\n\r\n"
        : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    expect(await (await fetch(url, { method: "POST", body: "once" })).text()).toBe("ok");
    expect(times).toBe(2);
    let lost = 0;
    onData = ({ socket }) => {
      lost++;
      socket.destroy();
    };
    const response = await fetch(url, { method: "POST", body: "x" });
    expect([response.status, response.headers.get("stead-outcome"), lost]).toEqual([502, "unknown", 1]);
  });

  test("a client that goes away ends its request upstream", async () => {
    onData = ({ socket }) => void socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    const controller = new AbortController();
    const response = await fetch(url, { signal: controller.signal });
    const connection = backend.last;
    controller.abort();
    await response.text().catch(() => undefined);
    await waitFor(() => connection.closed);
  });

  test("a body beyond the limit is refused", async () => {
    const response = await fetch(url, { method: "POST", body: "x".repeat(1_000_001) });
    expect(response.status).toBe(413);
  });
});
