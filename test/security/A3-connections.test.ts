/**
 * Attack A3: with all defaults one address held 10,000 idle sockets, and every other client got a reset; nothing was
 * logged.
 *
 * Rule: holding connections open does not keep others out. One address has a bound far below the total, a connection
 * without a first request is closed soon, and at a bound the longest idle ones make room; a connection with a request
 * never does. The operator sees it in the log, the metrics and the status.
 */
import { afterEach, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { defaultHttpLimits, type HttpLimits } from "../../src/http/limits.ts";
import { addressKey } from "../../src/http/server/admission.ts";
import { HttpServer, type HttpServerOptions } from "../../src/http/server/server.ts";
import type { Exchange } from "../../src/http/upstream/exchange.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { TestCluster, until } from "../support/gateway/cluster.ts";
import { ManualClock } from "../support/http/manual-clock.ts";
import { RawClient } from "../support/http/raw-client.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

async function serve(limits: Partial<HttpLimits>, options: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
  const server = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock, limits },
    onExchange: (exchange) => exchange.respond({ status: 200, body: "answered" }),
    ...options,
  });
  undo.push(() => server.abort());
  return server;
}

/** A connection from any loopback address that sends nothing. */
function silent(port: number, localAddress = "127.0.0.1"): Socket {
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  socket.on("error", () => undefined).resume();
  undo.push(() => socket.destroy());
  return socket;
}

async function client(server: HttpServer): Promise<RawClient> {
  const opened = await RawClient.connect(server.port);
  undo.push(() => opened.destroy());
  return opened;
}

test("with the defaults one address does not keep others out", async () => {
  const server = await serve({});
  const sockets = Array.from({ length: 1000 }, () => silent(server.port, "127.0.0.9"));
  await until(() => sockets.filter(({ destroyed }) => destroyed).length === 1000 - 256);
  expect(server.connections).toBe(256);
  const other = await client(server);
  other.send(get);
  await other.until((received) => received.endsWith("answered"));
}, 30_000);

test("an address at its bound gets a further connection in place of its longest idle one", async () => {
  const clock = new ManualClock();
  const server = await serve({ connectionsPerAddressMax: 3 }, { clock });
  const clients = [await client(server), await client(server), await client(server)];
  for (const each of clients) {
    each.send(get);
    await each.until((received) => received.endsWith("answered"));
    clock.advance(1_000);
  }
  clients[0]?.send(get);
  await clients[0]?.until((received) => received.split("answered").length === 3);
  const fourth = await client(server);
  fourth.send(get);
  await fourth.until((received) => received.endsWith("answered"));
  await clients[1]?.untilEnd();
  expect(clients.map(({ ended, closed }) => ended || closed)).toEqual([false, true, false]);
}, 20_000);

test("all places taken by idle connections of many addresses: a new client is served, a request in progress stays", async () => {
  const pending: Exchange[] = [];
  const server = await serve(
    { connectionsMax: 50 },
    {
      onExchange(exchange) {
        if (exchange.request.target !== "/slow") return exchange.respond({ status: 200, body: "answered" });
        pending.push(exchange);
        return new Promise(() => undefined);
      },
    },
  );
  const slow = await client(server);
  slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  await until(() => pending.length === 1);
  for (let round = 0; round < 4; round++) {
    const sockets = Array.from({ length: 100 }, (_, n) => silent(server.port, `127.0.0.${10 + n}`));
    await until(() => sockets.every(({ connecting }) => !connecting));
    const fresh = await client(server);
    fresh.send(get);
    await fresh.until((received) => received.endsWith("answered"));
    expect(server.connections).toBeLessThanOrEqual(50);
  }
  await pending[0]?.respond({ status: 200, body: "in the end" });
  await slow.until((received) => received.endsWith("in the end"));
}, 30_000);

test("a new connection is refused only if every other has a request", async () => {
  const server = await serve({ connectionsMax: 2 }, { onExchange: () => new Promise(() => undefined) });
  for (const _ of [1, 2]) (await client(server)).send(get);
  await until(() => server.activeExchanges === 2);
  expect(await (await client(server)).untilEnd()).toBe("");
  expect(server.refusedConnections).toBe(1);
}, 20_000);

test("a connection without a first request is closed soon, also if it begins one and does not continue", async () => {
  expect(defaultHttpLimits.firstRequestMs).toBeLessThanOrEqual(10_000);
  const server = await serve({ firstRequestMs: 100, headArrivalMs: 100 });
  const begun = await client(server);
  begun.send("GET / HT");
  expect(await (await client(server)).untilEnd()).toBe("");
  expect(await begun.untilEnd()).toStartWith("HTTP/1.1 408");
}, 20_000);

test("proxies are exempt; behind a load balancer that names its clients each client has the bound", async () => {
  const server = await serve(
    { connectionsPerAddressMax: 2 },
    { proxies: ["127.0.0.7"], proxyProtocolFrom: ["127.0.0.1"] },
  );
  const trusted = Array.from({ length: 10 }, () => silent(server.port, "127.0.0.7"));
  await until(() => server.connections === 10);
  expect(trusted.some(({ destroyed }) => destroyed)).toBe(false);
  const named = async (address: string): Promise<RawClient> => {
    const opened = await client(server);
    opened.send(`PROXY TCP4 ${address} 10.0.0.1 1234 80\r\n${get}`);
    await opened.until((received) => received.includes("answered"));
    return opened;
  };
  const crowd = [await named("6.6.6.6"), await named("6.6.6.6"), await named("6.6.6.6")];
  await until(() => crowd.filter(({ ended, closed }) => ended || closed).length === 1);
  const other = await named("7.7.7.7");
  expect(other.ended).toBe(false);
}, 20_000);

test("an IPv6 client counts as its network of 64 bits, an IPv4 client as its address", () => {
  expect(addressKey("2001:db8:1:2:3:4:5:6")).toBe(addressKey("2001:db8:1:2::9"));
  expect(addressKey("2001:db8:1:2::9")).not.toBe(addressKey("2001:db8:1:3::9"));
  expect(addressKey("2001:db8::1")).toBe(addressKey("2001:db8:0:0:ffff::1"));
  expect(addressKey("::1")).toBe("0:0:0:0");
  expect(addressKey("::ffff:10.0.0.7")).toBe("10.0.0.7");
  expect(addressKey("10.0.0.8")).toBe("10.0.0.8");
});

test("a gateway reports clients at their bound in log, metrics and status", async () => {
  const cluster = new TestCluster();
  undo.push(() => cluster.stop());
  await cluster.addHost("a");
  const { testLimits } = await import("../support/gateway/cluster.ts");
  const gateway = await cluster.startGateway({ limits: { ...testLimits, connectionsPerAddressMax: 5 } });
  const sockets = Array.from({ length: 20 }, () => silent(gateway.port));
  await until(() => sockets.filter(({ destroyed }) => destroyed).length === 15);
  expect(cluster.warnings.join()).toContain("client connections are at their bound");
  expect(gateway.status().troubles.join()).toContain("gateway.limits.connections_per_address");
  expect(await gateway.metrics.text()).toContain("stead_connections_displaced_total 15");
}, 30_000);
