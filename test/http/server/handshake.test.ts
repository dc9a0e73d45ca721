/**
 * The PROXY protocol before a TLS handshake, and before requests that the Hono app serves: real sockets, with a
 * balancer between that sends the header in front of what its clients send.
 */
import { afterEach, expect, test } from "bun:test";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp, createServer, type Server, type Socket } from "node:net";
import { connect } from "node:tls";
import { proxyAppServer } from "../../../src/gateway/route/proxy-app.ts";
import { HttpServer, type HttpServerOptions } from "../../../src/http/server/server.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { certificateA } from "../../support/http/certificates.ts";
import { exchange, RawClient, waitFor } from "../../support/http/raw-client.ts";

const v1 = "PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\n";
const v2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\x00\x71\x07\x0a\x00\x00\x01\x1f\x90\x01\xbb";
const get = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

interface Started {
  readonly server: HttpServer;
  readonly refused: string[];
}

async function start(options: Partial<HttpServerOptions>): Promise<Started> {
  const refused: string[] = [];
  const server = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock, proxyProtocolFrom: ["127.0.0.0/8"] },
    ...options,
    onProtocolError: ({ status, code }, client) => refused.push(`${status} ${code} ${client}`),
    onExchange:
      options.onExchange ??
      ((exchange) => {
        const { remoteAddress, remotePort, isSecure } = exchange;
        return exchange.respond({ status: 200, body: `${remoteAddress} ${remotePort} ${isSecure}` });
      }),
  });
  undo.push(() => server.close({ drainMs: 0 }));
  return { server, refused };
}

const tls = certificateA;
const app = (...protocols: ("h2" | "http/1.1")[]): Pick<HttpServerOptions, "app"> => ({
  app: (server) => proxyAppServer(server, protocols),
});

/** Passes connections on to `port`; `begin` writes the first piece of a client. */
async function balancer(port: number, begin: (gateway: Socket, first: Buffer) => void): Promise<number> {
  const relay: Server = createServer((client) => {
    const gateway = connectTcp({ port, host: "127.0.0.1", noDelay: true });
    client.once("data", (first: Buffer) => {
      begin(gateway, first);
      client.pipe(gateway);
    });
    gateway.pipe(client);
    for (const [one, other] of [
      [client, gateway],
      [gateway, client],
    ] as const)
      one.on("error", () => undefined).once("close", () => other.destroy());
  });
  undo.push(() => relay.close());
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  return (relay.address() as { port: number }).port;
}

const inFront =
  (header: string) =>
  (gateway: Socket, first: Buffer): void =>
    void gateway.write(Buffer.concat([Buffer.from(header, "latin1"), first]));

function byTls(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
    let received = "";
    socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(received));
    socket.write(get);
  });
}

function byHttp2(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    session.on("error", reject);
    const stream = session.request({ ":path": "/", ":authority": "a" });
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    stream.on("close", () => {
      session.destroy();
      resolve(body);
    });
  });
}

const served = [
  ["TLS", { tls }, byTls, "true"],
  ["TLS with the app", { tls, ...app("http/1.1") }, byTls, "true"],
  ["HTTP/2", { tls, ...app("h2") }, byHttp2, "true"],
  ["the app without TLS", app("http/1.1"), (port: number) => exchange(port, get), "false"],
] as const;

for (const [name, options, ask, isSecure] of served) {
  test.each([
    ["version 1", v1, "203.0.113.7 8080"],
    ["version 2", v2, "203.0.113.7 8080"],
  ])(`${name}: the header names the client, %s`, async (_version, header, client) => {
    const { server, refused } = await start(options);
    expect(await ask(await balancer(server.port, inFront(header)))).toEndWith(`${client} ${isSecure}`);
    await waitFor(() => server.connections === 0);
    expect(refused).toEqual([]);
  });

  test(`${name}: a header that comes byte by byte, or names no client, is read`, async () => {
    const { server } = await start(options);
    const slowly = await balancer(server.port, (gateway, first) => {
      const bytes = Buffer.concat([Buffer.from(v2, "latin1"), first]);
      const next = (at: number): void => {
        gateway.write(bytes.subarray(at, at + 1));
        if (at < v2.length + 3) setImmediate(() => next(at + 1));
        else gateway.write(bytes.subarray(at + 1));
      };
      next(0);
    });
    expect(await ask(slowly)).toEndWith(`203.0.113.7 8080 ${isSecure}`);
    expect(await ask(await balancer(server.port, inFront("PROXY UNKNOWN\r\n")))).toMatch(/127\.0\.0\.1 \d+ /);
  });
}

test.each([
  ["TLS", { tls }, ""],
  ["the app without TLS", app("http/1.1"), "HTTP/1.1 400 "],
] as const)(
  "%s: a malformed header, and a balancer's connection without one, are refused",
  async (_n, options, answer) => {
    const { server, refused } = await start(options);
    const hello = "\x16\x03\x01\x02\x00\x01\x00";
    for (const wrong of [
      "PROXY TCP4 203.0.113.7 10.0.0.1 8080 99999\r\n",
      hello,
      get,
      "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
    ]) {
      const client = await RawClient.connect(server.port);
      client.send(wrong);
      const received = await client.untilEnd();
      client.destroy();
      expect([wrong, received.slice(0, 13)]).toEqual([wrong, answer]);
      expect(received.includes("proxy_header_malformed")).toBe(answer !== "");
    }
    expect(refused).toEqual(Array.from({ length: 4 }, () => "400 proxy_header_malformed 127.0.0.1"));
    await waitFor(() => server.connections === 0);
  },
);

test("a header from an address that is no balancer is no handshake, and no request", async () => {
  for (const [options, answer] of [
    [{ tls }, ""],
    [app("http/1.1"), "HTTP/1.1 400 "],
  ] as const) {
    const { server } = await start({ ...options, proxyProtocolFrom: ["192.0.2.1"] });
    const client = await RawClient.connect(server.port);
    client.send(`${v1}${get}`);
    const received = await client.untilEnd();
    client.destroy();
    expect(received).not.toContain("203.0.113.7");
    if (answer !== "") expect(received).toStartWith(answer);
    expect(await ("tls" in options ? byTls(server.port) : exchange(server.port, get))).toContain("127.0.0.1");
    await waitFor(() => server.connections === 0);
  }
});

test("a connection whose header, or handshake behind it, does not come is closed soon, and counts until then", async () => {
  const { server } = await start({ tls, limits: { firstRequestMs: 200 } });
  const silent = await RawClient.connect(server.port);
  const half = await RawClient.connect(server.port);
  half.send(v1.slice(0, 20));
  const named = await RawClient.connect(server.port);
  named.send(v1);
  await waitFor(() => server.connections === 3);
  for (const each of [silent, half, named]) expect(await each.untilEnd()).toBe("");
  for (const each of [silent, half, named]) each.destroy();
  await waitFor(() => server.connections === 0);
});

test("the bound of one address is that of the client that the header names", async () => {
  const { server } = await start({ tls, limits: { connectionsPerAddressMax: 2 } });
  const named = async (address: string): Promise<RawClient> => {
    const client = await RawClient.connect(server.port);
    undo.push(() => client.destroy());
    client.send(v1.replace("203.0.113.7", address));
    return client;
  };
  const crowd = [await named("6.6.6.6"), await named("6.6.6.6"), await named("6.6.6.6")];
  await waitFor(() => crowd.filter(({ ended, closed }) => ended || closed).length === 1);
  await named("7.7.7.7");
  await waitFor(() => server.connections === 3);
});

test("the app's WebSockets have the client's address, and end with their connection", async () => {
  let seen = "";
  const { server } = await start({
    ...app("http/1.1"),
    onExchange: (exchange) => {
      seen = `${exchange.request.headers.get("upgrade")} ${exchange.remoteAddress}`;
      return exchange.respond({ status: 403 });
    },
  });
  const client = await RawClient.connect(server.port);
  client.send(`${v1}GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
  await client.until((received) => received.startsWith("HTTP/1.1 403 "));
  expect(seen).toBe("websocket 203.0.113.7");
  client.destroy();
  await waitFor(() => server.connections === 0);
});

test("connections behind a header last as long as others: two requests, an abort by the client, the server's end", async () => {
  const { server } = await start({ tls });
  const port = await balancer(server.port, inFront(v1));
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  socket.on("error", () => undefined);
  for (const count of [1, 2]) {
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await waitFor(() => received.split("203.0.113.7 8080 true").length === count + 1);
  }
  socket.destroy();
  await waitFor(() => server.connections === 0);
  const other = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  const closed = new Promise((resolve) => other.on("error", () => undefined).once("close", resolve));
  await waitFor(() => server.connections === 1);
  await server.close({ drainMs: 0 });
  await closed;
  expect(server.connections).toBe(0);
});
