import { expect, test } from "bun:test";
import type { Exchange } from "../../../src/http/upstream/exchange.ts";
import { HttpServer, ListenError } from "../../../src/http/server/server.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { proxied } from "../../support/http/proxied.ts";
import { RawClient, waitFor } from "../../support/http/raw-client.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const answering = (onExchange: (exchange: Exchange) => Promise<void>) => proxied({ onExchange: () => onExchange });

test("a port in use is an error that says what to do", async () => {
  const options = { host: "127.0.0.1", clock: systemClock, onExchange: () => Promise.resolve() };
  const first = await HttpServer.listen({ ...options, port: 0 });
  const second = await HttpServer.listen({ ...options, port: first.port }).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(second).toBeInstanceOf(ListenError);
  expect((second as ListenError).code).toBe("EADDRINUSE");
  expect((second as ListenError).advice).toContain("choose another port");
  await first.close({ drainMs: 0 });
});

test("an address that is not this machine's is an error that says what to do", async () => {
  const error = await HttpServer.listen({
    host: "192.0.2.1",
    port: 0,
    clock: systemClock,
    onExchange: () => Promise.resolve(),
  }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect((error as ListenError).code).toBe("EADDRNOTAVAIL");
});

test("closing stops accepting, lets a request finish with Connection: close, and ends idle connections", async () => {
  await using proxy = await proxied();
  const busy = await proxy.client();
  const idle = await proxy.client();
  busy.send(get);
  await waitFor(
    () => proxy.backend.connections[0]?.received.endsWith("\r\n\r\n") === true && proxy.server.connections === 2,
  );
  const port = proxy.server.port;
  const closed = proxy.server.close({ drainMs: 5_000 });
  await idle.untilEnd();
  expect(
    await RawClient.connect(port).then(
      () => "accepted",
      () => "refused",
    ),
  ).toBe("refused");
  proxy.backend.last.socket.write(ok);
  expect(await busy.untilEnd()).toBe("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  busy.end();
  idle.end();
  await closed;
  expect(proxy.server.activeExchanges).toBe(0);
});

test("for a successor, an answer that began before the drain leaves its connection open for one more, which says Connection: close", async () => {
  await using proxy = await proxied();
  const client = await proxy.client();
  client.send(get);
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("\r\n\r\n") === true);
  proxy.backend.last.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
  await client.until((r) => r.endsWith("\r\n\r\n"));
  const closed = proxy.server.close({ drainMs: 5_000, idle: "serve-once" });
  proxy.backend.last.socket.write("ok");
  await client.until((r) => r.endsWith("ok"));
  client.send(get);
  await waitFor(() => proxy.backend.last.received.split("\r\n\r\n").length === 3);
  proxy.backend.last.socket.write(ok);
  expect(await client.untilEnd()).toBe(`${ok}HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`);
  client.end();
  await closed;
});

test("a request that does not finish within the drain time is cut", async () => {
  await using proxy = await proxied();
  const client = await proxy.client();
  client.send(get);
  await waitFor(() => proxy.backend.connections.length === 1);
  await proxy.server.close({ drainMs: 30 });
  expect(await client.untilEnd()).toBe("");
});

test("abort ends every connection at once, and no byte leaves afterwards", async () => {
  await using proxy = await proxied();
  const client = await proxy.client();
  client.send(get);
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("\r\n\r\n") ?? false);
  proxy.server.abort();
  proxy.backend.last.socket.write(ok);
  expect(await client.untilEnd()).toBe("");
  await waitFor(() => proxy.outcomes.length === 1);
  expect(proxy.outcomes).toEqual([{ kind: "client-gone" }]);
  expect(proxy.server.connections).toBe(0);
});

test("a request that its handler leaves unanswered, or fails on, gets 500", async () => {
  const errors: unknown[] = [];
  let mode = "nothing";
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    onExchange: () => (mode === "nothing" ? Promise.resolve() : Promise.reject(new Error("a bug"))),
    onHandlerError: (error) => errors.push(error),
  });
  for (mode of ["nothing", "failing"]) {
    const client = await RawClient.connect(server.port);
    client.send(get);
    expect(await client.untilEnd()).toStartWith("HTTP/1.1 500 ");
    client.destroy();
  }
  expect(errors).toEqual([new Error("a bug")]);
  await server.close({ drainMs: 0 });
});

test("a handler's synchronous throw is handled like a rejection", async () => {
  const errors: unknown[] = [];
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    onExchange: () => {
      throw new Error("a bug");
    },
    onHandlerError: (error) => errors.push(error),
  });
  const client = await RawClient.connect(server.port);
  client.send(get);
  expect(await client.untilEnd()).toStartWith("HTTP/1.1 500 ");
  client.destroy();
  expect(errors.length).toBe(1);
  await server.close({ drainMs: 0 });
});

test("the server's own response keeps the connection usable when the rest of the body is small", async () => {
  await using proxy = await answering((exchange) => exchange.respond({ status: 404, body: exchange.request.target }));
  const client = await proxy.client();
  client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
  await client.until((r) => r.endsWith("/1"));
  client.send("worldGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until((r) => r.endsWith("/2"));
  expect(client.received).not.toContain("Connection: close");
});

test("the server's own response closes the connection when the rest of the body is large, and the client still sees it", async () => {
  await using proxy = await answering((exchange) => exchange.respond({ status: 404, body: "no" }));
  const client = await proxy.client();
  client.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
  for (let i = 0; i < 5; i++) client.send("x".repeat(20_000));
  const received = await client.untilEnd();
  expect(received).toContain("Connection: close\r\n");
  expect(received).toEndWith("no");
  expect(client.errorCode).toBeUndefined();
});

test("the server's own response to a client that waits for 100 (Continue) closes the connection", async () => {
  await using proxy = await answering((exchange) => exchange.respond({ status: 401 }));
  const client = await proxy.client();
  client.send("POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  expect(await client.untilEnd()).toContain("Connection: close\r\n");
});

test("HEAD and 204 get no body of the server's own response", async () => {
  await using proxy = await answering((exchange) =>
    exchange.respond({ status: exchange.request.method === "HEAD" ? 200 : 204, body: "hello" }),
  );
  const client = await proxy.client();
  client.send(`HEAD / HTTP/1.1\r\nHost: a\r\n\r\n${get}`);
  const received = await client.until((r) => r.includes("204"));
  expect(received).toContain("Content-Length: 5\r\n");
  expect(received.split("Content-Length").length).toBe(2);
  expect(received).toEndWith("\r\n\r\n");
  expect(received).not.toContain("hello");
});

test("the server's own response cannot be used to inject fields", async () => {
  const thrown: unknown[] = [];
  await using proxy = await answering(async (exchange) => {
    for (const headers of [[["X", "a\r\nY: b"]], [["X Y", "a"]], [["X", "\u0100"]]] as [string, string][][]) {
      await exchange.respond({ status: 200, headers }).catch((error: unknown) => thrown.push(error));
    }
    await exchange.respond({
      status: 200,
      headers: [
        ["Content-Length", "999"],
        ["Transfer-Encoding", "chunked"],
      ],
      body: "fine",
    });
  });
  const client = await proxy.client();
  client.send(get);
  const received = await client.until((r) => r.endsWith("fine"));
  expect(thrown.length).toBe(3);
  expect(received).toContain("Content-Length: 4\r\n");
  expect(received).not.toContain("chunked");
});

test("HTTP/1.0 connections close, unless the client asks to keep them", async () => {
  await using proxy = await answering((exchange) => exchange.respond({ status: 200, body: exchange.request.target }));
  const client = await proxy.client();
  client.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  expect(await client.until((r) => r.endsWith("/1"))).toContain("Connection: keep-alive\r\n");
  client.send("GET /2 HTTP/1.0\r\n\r\n");
  expect(await client.untilEnd()).toEndWith("/2");
});

test("an answer that comes before the request body is complete passes at once, and the rest of the body still goes up", async () => {
  await using proxy = await proxied({
    onData: (c) => {
      if (c.received.endsWith("first"))
        c.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n");
      if (c.received.endsWith("second")) c.socket.write("4\r\nlate\r\n0\r\n\r\n");
    },
  });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst");
  await client.until((r) => r.includes("early"));
  client.send("second");
  await client.until((r) => r.endsWith("0\r\n\r\n"));
  client.send(get);
  await waitFor(() => proxy.backend.last.received.endsWith(get));
  expect(proxy.backend.connections.length).toBe(1);
});

test("a complete answer to an incomplete request passes, and its upstream connection is not used again", async () => {
  await using proxy = await proxied({ onData: (c) => c.received.endsWith("first") && void c.socket.write(ok) });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst");
  await client.until((r) => r.endsWith("ok"));
  await waitFor(() => proxy.backend.last.ended || proxy.backend.last.closed);
  client.send(`second${get.replace("/", "/next")}`);
  await waitFor(() => proxy.backend.connections.length === 2 && proxy.backend.last.received.includes("/next"));
  expect(proxy.outcomes[0]).toEqual({ kind: "completed", status: 200 });
});

test("a body that breaks the protocol while it is forwarded ends the request at the upstream and gets 400", async () => {
  await using proxy = await proxied();
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("hello\r\n") ?? false);
  client.send("zz\r\n");
  expect(await client.untilEnd()).toStartWith("HTTP/1.1 400 ");
  await waitFor(() => proxy.backend.last.ended || proxy.backend.last.closed);
  expect(proxy.backend.last.received).not.toContain("0\r\n\r\n");
  expect(proxy.outcomes).toEqual([{ kind: "client-gone" }]);
});

test("a body beyond the bound for keeping is forwarded whole, and lost requests say that it is no longer held", async () => {
  await using proxy = await proxied({ limits: { keepBodyBytesMax: 10 } });
  const client = await proxy.client();
  client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n0123456789");
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("0123456789") ?? false);
  client.send("abcdefghij");
  await waitFor(() => proxy.backend.last.received.endsWith("abcdefghij"));
  expect(proxy.server.keptBytes.total).toBe(0);
  client.send("ABCDEFGHIJ");
  await waitFor(() => proxy.backend.last.received.endsWith("ABCDEFGHIJ"));
  proxy.backend.last.socket.destroy();
  await waitFor(() => proxy.outcomes.length === 1);
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", released: false, bodyHeld: false });
});

test("kept bodies are given back to the common bound in every way that a request ends", async () => {
  await using proxy = await proxied();
  const gone = await proxy.client();
  gone.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("hello") ?? false);
  expect(proxy.server.keptBytes.total).toBe(5);
  gone.socket.resetAndDestroy();
  await waitFor(() => proxy.server.keptBytes.total === 0);
  const answered = await proxy.client();
  answered.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  await waitFor(() => proxy.backend.connections.length === 2 && proxy.backend.last.received.endsWith("hello"));
  proxy.backend.last.socket.write(ok);
  await answered.until((r) => r.endsWith("ok"));
  expect(proxy.server.keptBytes.total).toBe(0);
});

test("an edit that throws is reported as the caller's error, and ends the client connection", async () => {
  const errors: unknown[] = [];
  await using proxy = await proxied({
    onData: (c) => void c.socket.write(ok),
    onExchange: (upstream) => async (exchange) => {
      try {
        await exchange.forward(upstream, {
          editResponseFields: () => {
            throw new Error("a bug");
          },
        });
      } catch (error) {
        errors.push(error);
      }
    },
  });
  const client = await proxy.client();
  client.send(get);
  expect(await client.untilEnd()).toBe("");
  expect(errors).toEqual([new Error("a bug")]);
  await waitFor(() => proxy.upstream.stats.connections === 0);
});

test("edits of heads cannot change the framing", async () => {
  await using proxy = await proxied({
    onData: (c) => c.received.endsWith("hello") && void c.socket.write(ok),
    forward: {
      editRequestFields: (headers) => headers.without((name) => name === "content-length").with("X-Real", "1"),
      editResponseFields: ({ headers }) => headers.with("Content-Length", "999").with("Connection", "x"),
    },
  });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  expect(await client.until((r) => r.endsWith("ok"))).toBe(ok);
  expect(proxy.backend.last.received).toBe("POST / HTTP/1.1\r\nHost: a\r\nX-Real: 1\r\nContent-Length: 5\r\n\r\nhello");
});
