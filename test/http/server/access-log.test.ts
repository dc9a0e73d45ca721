import { expect, test } from "bun:test";
import { accessLine, type AccessEntry } from "../../../src/http/server/access-log.ts";
import { requestIdFields } from "../../../src/http/server/request-id.ts";
import { HttpServer } from "../../../src/http/server/server.ts";
import { Upstream } from "../../../src/http/upstream/upstream.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { RawBackend } from "../../support/http/raw-backend.ts";
import { RawClient, waitFor } from "../../support/http/raw-client.ts";

const entry: AccessEntry = {
  wallTime: Date.UTC(2026, 10, 2, 3, 4, 5, 678),
  remoteAddress: "203.0.113.7",
  method: "GET",
  target: '/a"b',
  version: "1.1",
  status: 200,
  complete: true,
  requestBytes: 0,
  responseBytes: 120,
  durationMs: 1.23456,
  requestId: "abc",
  referer: undefined,
  userAgent: 'x"\\\x1b[2J\xe9',
};

test("the combined format is one line, with everything dangerous escaped", () => {
  expect(accessLine(entry, "combined")).toBe(
    '203.0.113.7 - - [02/Nov/2026:03:04:05 +0000] "GET /a\\x22b HTTP/1.1" 200 120 "-" "x\\x22\\x5c\\x1b[2J\\xe9"',
  );
});

test("the JSON format has the same as fields", () => {
  expect(JSON.parse(accessLine(entry, "json"))).toEqual({
    time: "2026-11-02T03:04:05.678Z",
    remoteAddress: "203.0.113.7",
    method: "GET",
    target: '/a"b',
    version: "1.1",
    status: 200,
    complete: true,
    requestBytes: 0,
    responseBytes: 120,
    durationMs: 1.235,
    requestId: "abc",
    userAgent: 'x"\\\x1b[2J\xe9',
  });
});

test("each request is reported once, with the name that the upstream got", async () => {
  const backend = await RawBackend.listen(
    (c) => c.received.endsWith("hello") && void c.socket.write("HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok"),
  );
  const upstream = new Upstream({ host: "127.0.0.1", port: backend.port, clock: systemClock });
  const entries: AccessEntry[] = [];
  const random = { bytes: (count: number) => new Uint8Array(count).fill(0xab), fraction: () => 0 };
  const editRequestFields = requestIdFields({ traceparent: "make", random });
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    random,
    onAccess: (done) => entries.push(done),
    onExchange: async (exchange) => {
      await exchange.forward(upstream, { editRequestFields });
    },
  });
  const client = await RawClient.connect(server.port);
  client.send("POST /x HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nContent-Length: 5\r\n\r\nhello");
  const received = await client.until((r) => r.endsWith("ok"));
  await waitFor(() => entries.length === 1);
  expect(entries[0]).toMatchObject({
    method: "POST",
    target: "/x",
    status: 201,
    complete: true,
    requestBytes: 5,
    responseBytes: received.length,
    requestId: "ab".repeat(16),
    userAgent: "me",
  });
  expect(backend.last.received).toContain(
    `X-Request-Id: ${"ab".repeat(16)}\r\ntraceparent: 00-${"ab".repeat(16)}-${"ab".repeat(8)}-01\r\n`,
  );
  backend.last.received = "";
  client.send(
    "POST /y HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine-1\r\ntraceparent: 00-1-2-00\r\nContent-Length: 5\r\n\r\nhello",
  );
  await waitFor(() => entries.length === 2);
  expect(entries[1]?.requestId).toBe("mine-1");
  expect(backend.last.received).toContain("X-Request-Id: mine-1\r\ntraceparent: 00-1-2-00\r\n");
  client.send('POST /z HTTP/1.1\r\nHost: a\r\nX-Request-Id: not "plain"\r\nContent-Length: 9\r\n\r\nhell');
  await waitFor(() => backend.last.received.endsWith("hell"));
  client.socket.resetAndDestroy();
  await waitFor(() => entries.length === 3);
  expect(entries[2]).toMatchObject({ target: "/z", status: 0, complete: false, requestId: "ab".repeat(16) });
  await server.close({ drainMs: 0 });
  upstream.abort("test over");
  await backend.close();
});
