/**
 * Many connections at once: abusive ones are ended, ordinary ones are answered, held ones are answered in order and
 * once.
 */
import { expect, test } from "bun:test";
import { Hold } from "../../../src/http/proxy/hold.ts";
import { Proxy } from "../../../src/http/proxy/proxy.ts";
import { HttpServer } from "../../../src/http/server/server.ts";
import { Upstream } from "../../../src/http/upstream/upstream.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { RawBackend } from "../../support/http/raw-backend.ts";
import { RawClient, waitFor } from "../../support/http/raw-client.ts";

const connectMany = async (count: number, port: number): Promise<RawClient[]> => {
  const clients: RawClient[] = [];
  while (clients.length < count)
    clients.push(
      ...(await Promise.all(
        Array.from({ length: Math.min(100, count - clients.length) }, () => RawClient.connect(port)),
      )),
    );
  return clients;
};

/** All clients have one address here, and begin when all are there. */
const oneAddress = { connectionsPerAddressMax: 10_000, firstRequestMs: 600_000 };

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

test("200 slow heads and 200 slow bodies are ended with 408 while an ordinary request beside 5,000 idle connections is answered", async () => {
  const backend = await RawBackend.answering(ok);
  const limits = {
    ...{ headArrivalMs: 1_000, bodyBytesPerSecondMin: 1_000, bodyRateWindowMs: 1_000, idleMs: 600_000 },
    ...oneAddress,
  };
  const upstream = new Upstream({ host: "127.0.0.1", port: backend.port, clock: systemClock, limits });
  const hold = new Hold(
    { requestsMax: 1, bytesMax: 1, waitMsMax: 1, releaseConcurrency: 1, clock: systemClock },
    "open",
  );
  const proxy = new Proxy({
    route: { current: () => upstream, whenServing: () => hold },
    clock: systemClock,
    patienceMs: 1_000,
  });
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    limits,
    onExchange: (exchange) => proxy.handle(exchange),
  });
  const idle = await connectMany(5_000, server.port);
  const slowHeads = await connectMany(200, server.port);
  const slowBodies = await connectMany(200, server.port);
  await waitFor(
    () => server.connections === 5_400,
    () => `${server.connections} connections`,
    30_000,
  );
  for (const client of slowHeads) client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ");
  for (const client of slowBodies) client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx");

  const ordinary = await RawClient.connect(server.port);
  const abusive = [...slowHeads, ...slowBodies];
  let answered = 0;
  // Ordinary requests follow each other until the server has closed every abusive connection.
  while (abusive.some((client) => !client.ended && !client.closed)) {
    ordinary.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    answered++;
    await waitFor(
      () => ordinary.received.split("HTTP/1.1 200 OK").length - 1 === answered && ordinary.received.endsWith("ok"),
      () => ordinary.received.slice(-200),
      30_000,
    );
  }
  expect(abusive.filter((client) => client.received.startsWith("HTTP/1.1 408")).length).toBe(400);
  expect(idle.filter((client) => client.ended || client.closed).length).toBe(0);
  for (const client of [...idle, ...abusive, ordinary]) client.destroy();
  await server.close({ drainMs: 0 });
  upstream.abort("over");
  await backend.close();
}, 120_000);

test("5,000 held requests are all answered by the new primary, in order of arrival, none twice", async () => {
  const count = 5_000;
  const arrived: number[] = [];
  const backend = await RawBackend.listen((connection) => {
    for (let end = connection.received.indexOf("\r\n\r\n"); end !== -1; end = connection.received.indexOf("\r\n\r\n")) {
      arrived.push(Number(/^POST \/(\d+) /.exec(connection.received)?.[1]));
      connection.received = connection.received.slice(end + 4);
      connection.socket.write(ok);
    }
  });
  // One at a time: then what the primary sees is the order of the release itself, not that of parallel connections.
  const hold = new Hold({
    requestsMax: count,
    bytesMax: 2 ** 30,
    waitMsMax: 100_000,
    releaseConcurrency: 1,
    clock: systemClock,
  });
  const serving: { upstream?: Upstream } = {};
  const proxy = new Proxy({
    route: { current: () => serving.upstream, whenServing: () => hold },
    clock: systemClock,
    patienceMs: 100_000,
  });
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    limits: oneAddress,
    onExchange: (exchange) => proxy.handle(exchange),
  });
  const clients = await connectMany(count, server.port);
  const order: number[] = [];
  for (const [nth, client] of clients.entries()) {
    client.send(`POST /${nth} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
    // In steps, so that the order of arrival at the server is known.
    if (nth % 50 === 49)
      await waitFor(
        () => hold.waiting === nth + 1,
        () => `${hold.waiting} wait`,
        30_000,
      );
    order.push(nth);
  }
  expect(hold.waiting).toBe(count);
  expect(arrived).toEqual([]);
  serving.upstream = new Upstream({ host: "127.0.0.1", port: backend.port, clock: systemClock });
  hold.open();
  await waitFor(
    () => clients.every((client) => client.received.endsWith("ok")),
    () => `${arrived.length} arrived`,
    60_000,
  );
  expect(new Set(arrived).size).toBe(count);
  expect(arrived.length).toBe(count);
  // Within a step the kernel may report sockets in another order; between steps it cannot.
  expect(arrived.map((nth) => Math.floor(nth / 50))).toEqual(order.map((nth) => Math.floor(nth / 50)));
  expect(clients.every((client) => client.received.split("HTTP/1.1").length === 2)).toBe(true);
  for (const client of clients) client.destroy();
  await server.close({ drainMs: 0 });
  serving.upstream.abort("over");
  await backend.close();
}, 120_000);
