/**
 * The Hono app behind the gateway's own listener, HTTP/1.1: what passes as on the other listener, upgrades, time
 * limits, and the end of the server.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { proxyAppServer } from "../../../src/gateway/route/proxy-app.ts";
import { proxied, type Proxied, roundTrip } from "../../support/http/proxied.ts";
import { answerEach, type BackendConnection } from "../../support/http/raw-backend.ts";
import { RawClient, waitFor } from "../../support/http/raw-client.ts";

let proxy: Proxied;
let onData: (connection: BackendConnection) => void = () => undefined;
let seen = "";

const start = (limits: Record<string, number> = {}): Promise<Proxied> =>
  proxied({
    limits,
    server: { app: (server) => proxyAppServer(server, ["http/1.1"]) },
    onData: (connection) => onData(connection),
  });
beforeAll(async () => {
  proxy = await start();
});
afterAll(() => proxy[Symbol.asyncDispose]());
beforeEach(() => {
  seen = "";
});

const answering = (answer: string): void => {
  onData = answerEach(answer, (request) => (seen = request));
};

test("target, order, case and duplicates of fields, and the reason phrase are kept", async () => {
  answering("HTTP/1.1 299 Own Words\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok");
  const fields = "hOsT: a.example\r\nX-B: 1\r\nx-b: 2\r\nX-Latin: \xe9\xff";
  const received = await roundTrip(
    proxy,
    `GET /a/../b//%2e?q=%20;{} HTTP/1.1\r\n${fields}\r\nConnection: close\r\n\r\n`,
  );
  expect(seen).toStartWith(`GET /a/../b//%2e?q=%20;{} HTTP/1.1\r\n${fields}\r\n`);
  expect(received).toStartWith("HTTP/1.1 299 Own Words\r\n");
  expect(received.toLowerCase().match(/set-cookie: [ab]=\d/g)).toEqual(["set-cookie: a=1", "set-cookie: b=2"]);
  expect(received.toLowerCase()).not.toContain("content-type");
  expect(received).toEndWith("\r\n\r\nok");
});

test("early hints of an answer pass; fields that Connection names do not reach the upstream", async () => {
  answering(
    "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n" +
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: end\r\n\r\n",
  );
  const received = await roundTrip(proxy, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\r\n");
  expect(received).toStartWith("HTTP/1.1 103 ");
  expect(received.toLowerCase()).toContain("link: </a.css>; rel=preload");
  // Bun's node:http sends no trailers on a connection that it has not accepted itself; Node's does.
  expect(received).toMatch(/\r\n2\r\nok\r\n0\r\n(?:x-t: end\r\n)?\r\n$/i);
  expect(seen.toLowerCase()).not.toContain("x-hop");
});

test("an answer that is lost in the middle ends its connection without the end of the body", async () => {
  onData = ({ socket }) => {
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
    socket.destroy();
  };
  const received = await roundTrip(proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(received).not.toContain("\r\n0\r\n");
  expect(received).not.toContain("cut");
});

test("a WebSocket is opened and its bytes pass in both directions", async () => {
  onData = (connection) => {
    const key = /sec-websocket-key: (\S+)/i.exec(connection.received)?.[1];
    if (key !== undefined) {
      seen = connection.received;
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      connection.socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
    } else
      connection.socket.write(`\x82${String.fromCharCode(connection.received.length)}${connection.received}`, "latin1");
    connection.received = "";
  };
  const own = await start();
  const socket = new WebSocket(`ws://127.0.0.1:${own.server.port}/live`);
  const opened = new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
  await opened;
  const message = new Promise<MessageEvent>((resolve) => socket.addEventListener("message", resolve, { once: true }));
  socket.send("hello");
  // The masked frame of the client, as the upstream got it: two bytes, the mask, the text.
  expect(((await message).data as Buffer).length).toBe(2 + 4 + 5);
  expect(seen).toStartWith("GET /live HTTP/1.1\r\n");
  socket.terminate();
  // The tunnel's other half is the upstream's to end.
  await waitFor(() => own.backend.last.ended);
  own.backend.last.socket.end();
  await waitFor(() => own.server.connections === 0);
  await own[Symbol.asyncDispose]();
});

test("two requests use one connection, which counts once; a client that sends nothing is closed in time", async () => {
  const own = await start({ firstRequestMs: 150, idleMs: 400 });
  answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  const silent = await RawClient.connect(own.server.port);
  const slow = await RawClient.connect(own.server.port);
  slow.send("GET / HTTP/1.1\r\nHos");
  const client = await RawClient.connect(own.server.port);
  await waitFor(() => own.server.connections === 3);
  for (const count of [1, 2]) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until((received) => received.match(/\r\n\r\nok/g)?.length === count);
  }
  for (const each of [silent, slow, client]) {
    await each.untilEnd();
    each.destroy();
  }
  await waitFor(() => own.server.connections === 0);
  await own[Symbol.asyncDispose]();
});

test("a server that drains answers what it has, says that the connection ends, and closes idle ones", async () => {
  const own = await start();
  let upstream: BackendConnection | undefined;
  onData = (connection) => void (upstream = connection);
  const idle = await RawClient.connect(own.server.port);
  const busy = await RawClient.connect(own.server.port);
  busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => upstream !== undefined && own.server.connections === 2);
  const closed = own.server.close({ drainMs: 5_000 });
  await idle.untilEnd();
  upstream?.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast");
  const received = await busy.untilEnd();
  expect(received).toEndWith("last");
  for (const each of [idle, busy]) each.destroy();
  await closed;
  await own[Symbol.asyncDispose]();
});
