import { expect, test } from "bun:test";
import type { Socket } from "node:net";
import { defaultHttpLimits, httpLimits } from "../../src/http/limits.ts";
import { proxied } from "../support/http/proxied.ts";
import { type RawClient, waitFor } from "../support/http/raw-client.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const mib = 1024 * 1024;

test("a limit that is unknown, negative or not a number is refused", () => {
  expect(() => httpLimits({ idleMS: 1 } as never)).toThrow("unknown limit idleMS");
  expect(() => httpLimits({ idleMs: -1 })).toThrow("limit idleMs is -1");
  expect(() => httpLimits({ idleMs: Number.NaN })).toThrow("limit idleMs is NaN");
  expect(httpLimits({ idleMs: 5 })).toEqual({ ...defaultHttpLimits, idleMs: 5 });
});

test("an idle connection is ended at its limit, without an answer", async () => {
  await using proxy = await proxied({ limits: { idleMs: 1 } });
  const client = await proxy.client();
  expect(await client.untilEnd()).toBe("");
});

test("a head that does not arrive in time gets 408", async () => {
  await using proxy = await proxied({ limits: { headArrivalMs: 1 } });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHo");
  expect(await client.untilEnd()).toStartWith("HTTP/1.1 408 ");
  expect(proxy.errors).toEqual(["head_too_slow"]);
});

test("bytes that trickle in do not extend the time for the head", async () => {
  await using proxy = await proxied({ limits: { headArrivalMs: 50 } });
  const client = await proxy.client();
  const trickle = setInterval(() => client.send("X: y\r\n"), 5);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n");
  expect(await client.untilEnd()).toStartWith("HTTP/1.1 408 ");
  clearInterval(trickle);
});

test("a body that arrives more slowly than allowed gets 408, and its request is ended at the upstream", async () => {
  await using proxy = await proxied({ limits: { bodyBytesPerSecondMin: 1000, bodyRateWindowMs: 50 } });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nx");
  expect(await client.untilEnd()).toStartWith("HTTP/1.1 408 ");
  await waitFor(() => proxy.backend.last.ended || proxy.backend.last.closed);
  expect(proxy.outcomes).toEqual([{ kind: "client-gone" }]);
});

test("a client that waits for 100 (Continue) is not slow", async () => {
  await using proxy = await proxied({
    limits: { bodyBytesPerSecondMin: 1000, bodyRateWindowMs: 1 },
    onData: (c) => {
      if (c.received.endsWith("\r\n\r\n")) setTimeout(() => c.socket.write("HTTP/1.1 100 Continue\r\n\r\n"), 400);
      if (c.received.endsWith("hello")) c.socket.write(ok);
    },
  });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  await client.until((r) => r.includes("100 Continue"));
  client.send("hello");
  await client.until((r) => r.endsWith("ok"));
});

test("an upstream that does not answer in time loses the request", async () => {
  await using proxy = await proxied({ limits: { firstByteMs: 1 } });
  const client = await proxy.client();
  client.send(get);
  await client.until((r) => r.includes("502"));
  expect(proxy.outcomes[0]).toMatchObject({
    kind: "lost",
    released: false,
    reason: "the upstream did not answer within 1 ms",
    cause: "timed-out",
  });
});

test("an upstream that stops in the middle of a response is cut", async () => {
  await using proxy = await proxied({
    limits: { responseIdleMs: 1 },
    onData: (c) => void c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf"),
  });
  const client = await proxy.client();
  client.send(get);
  expect(await client.untilEnd()).toEndWith("half");
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", released: true });
});

test("a response that takes longer than allowed is cut, although its bytes keep arriving", async () => {
  await using proxy = await proxied({
    limits: { responseMs: 50 },
    onData: (c) => {
      c.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      const tick = setInterval(() => c.socket.write("1\r\nx\r\n"), 5);
      c.socket.on("close", () => clearInterval(tick));
      c.socket.on("end", () => clearInterval(tick));
    },
  });
  const client = await proxy.client();
  client.send(get);
  await client.untilEnd();
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", released: true });
});

test("an unused tunnel is ended", async () => {
  await using proxy = await proxied({
    limits: { tunnelIdleMs: 1 },
    onData: (c) =>
      c.received.endsWith("\r\n\r\n") &&
      void c.socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await client.untilEnd();
  await waitFor(() => proxy.backend.last.ended || proxy.backend.last.closed);
});

test("connections beyond the bounds are closed at once while the others have requests, and these continue", async () => {
  const held: Socket[] = [];
  await using proxy = await proxied({
    limits: { connectionsPerAddressMax: 2 },
    onData: (c) => void (c.received.endsWith(get) ? c.socket.write(ok) : held.push(c.socket)),
  });
  const [first, second] = [await proxy.client(), await proxy.client()];
  for (const client of [first, second]) client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => held.length === 2);
  const third = await proxy.client();
  await waitFor(() => third.closed || third.ended);
  expect(proxy.server.refusedConnections).toBe(1);
  for (const socket of held) socket.write(ok);
  await first.until((r) => r.endsWith("ok"));
  second.destroy();
  await waitFor(() => proxy.server.connections === 1);
  const fourth = await proxy.client();
  fourth.send(get);
  await fourth.until((r) => r.endsWith("ok"));
});

test("requests beyond the connections of an upstream wait for one, in order", async () => {
  const waiting: Socket[] = [];
  const seen: string[] = [];
  await using proxy = await proxied({
    limits: { upstreamConnectionsMax: 1 },
    onData: (c) => {
      seen.push(/GET (\S+)/.exec(c.received)?.[1] ?? "");
      c.received = "";
      waiting.push(c.socket);
    },
  });
  const clients: RawClient[] = [];
  for (let i = 0; i < 3; i++) {
    const client = await proxy.client();
    client.send(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await waitFor(() => proxy.server.activeExchanges === i + 1);
    clients.push(client);
  }
  await waitFor(() => waiting.length === 1);
  expect(proxy.upstream.stats).toMatchObject({ connections: 1, waiting: 2 });
  for (let i = 0; i < 3; i++) {
    await waitFor(() => waiting.length === i + 1);
    waiting[i]?.write(ok);
    await clients[i]?.until((r) => r.endsWith("ok"));
  }
  expect(seen).toEqual(["/0", "/1", "/2"]);
  expect(proxy.backend.connections.length).toBe(1);
});

/** Writes until `total` bytes are gone or the other side takes no more; returns how many bytes it took so far. */
function pour(socket: Socket, total: number): { taken: () => number } {
  const block = Buffer.alloc(64 * 1024, "x");
  let written = 0;
  const more = (): void => {
    while (written < total) {
      written += block.length;
      if (!socket.write(block)) break;
    }
  };
  socket.on("drain", more);
  more();
  return { taken: () => written - socket.writableLength };
}

/** The value once it no longer changes over some turns of the event loop. */
async function settled(value: () => number): Promise<number> {
  let last = -1;
  for (let same = 0; same < 20; ) {
    await new Promise<void>((resolve) => setTimeout(resolve, 2));
    const now = value();
    same = now === last ? same + 1 : 0;
    last = now;
  }
  return last;
}

/** Bytes that kernels may buffer on two loopback connections, both ends, and those that we may. */
const buffersMax = 24 * mib;

test("a client that does not read stops the upstream, and one that reads gets everything", async () => {
  const total = 64 * mib;
  let poured: { taken: () => number } | undefined;
  await using proxy = await proxied({
    onData: (c) => {
      c.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      poured = pour(c.socket, total);
    },
  });
  const client = await proxy.client();
  let received = 0;
  client.socket.removeAllListeners("data");
  client.socket.on("data", (chunk) => (received += chunk.length));
  client.socket.pause();
  client.send(get);
  await waitFor(() => (poured?.taken() ?? 0) > mib);
  expect(await settled(() => poured?.taken() ?? 0)).toBeLessThan(buffersMax);
  client.socket.resume();
  await waitFor(
    () => received > total,
    () => `received ${received}`,
    20_000,
  );
  expect(proxy.outcomes[0]?.kind).toBe("completed");
}, 30_000);

test("an upstream that does not read stops the client, and one that reads gets everything", async () => {
  const total = 64 * mib;
  await using proxy = await proxied({ limits: { firstByteMs: 30_000 } });
  proxy.backend.onConnection = (socket) => socket.pause();
  const client = await proxy.client();
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`);
  const poured = pour(client.socket, total);
  await waitFor(() => proxy.backend.connections.length === 1 && poured.taken() > mib);
  expect(await settled(poured.taken)).toBeLessThan(buffersMax);
  let received = 0;
  const { socket } = proxy.backend.last;
  socket.removeAllListeners("data");
  socket.on("data", (chunk) => {
    received += chunk.length;
    if (received > total) socket.write(ok);
  });
  socket.resume();
  await waitFor(
    () => client.received.endsWith("ok"),
    () => `received ${received}`,
    20_000,
  );
}, 30_000);

test("a client that reads nothing of a waiting response is cut off", async () => {
  const total = 64 * mib;
  await using proxy = await proxied({
    limits: { writeStallMs: 50 },
    onData: (c) => {
      c.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`);
      pour(c.socket, total);
    },
  });
  const client = await proxy.client();
  client.socket.pause();
  client.send(get);
  await waitFor(() => proxy.outcomes.length === 1);
  expect(proxy.outcomes[0]?.kind).toBe("client-gone");
  await waitFor(() => proxy.server.connections === 0);
});

test("pipelined requests are read ahead only up to a bound", async () => {
  await using proxy = await proxied({ limits: { readAheadBytesMax: 1000 }, onData: () => undefined });
  const client = await proxy.client();
  client.send(get);
  await waitFor(() => proxy.backend.connections.length === 1);
  const poured = pour(client.socket, 64 * mib);
  expect(await settled(poured.taken)).toBeLessThan(buffersMax);
});
