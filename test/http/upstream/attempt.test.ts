import { expect, test } from "bun:test";
import type { WholeAnswers } from "../../../src/http/upstream/whole-answers.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { proxied, roundTrip } from "../../support/http/proxied.ts";
import { RawBackend } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

const ok =
  "HTTP/1.1 200 Fine Indeed\r\nX-B: 1\r\nx-b: 2\r\nContent-Length: 5\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhello";

test("a request and its response pass with target, order, case, duplicates and reason phrase unchanged", async () => {
  await using proxy = await proxied({ backend: await RawBackend.answering(ok) });
  const client = await proxy.client();
  client.send(
    "GET /a/../b//c?x=%2f&y={1} HTTP/1.1\r\nhOst: Example.COM:80\r\nX-Two: b\r\nx-two:a  \r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\n\r\n",
  );
  expect(await client.until((r) => r.endsWith("hello"))).toBe(ok);
});

test("the upstream gets the request line and fields byte for byte, without those of this hop", async () => {
  await using proxy = await proxied({ onData: (c) => c.received.endsWith("\r\n\r\n") && void c.socket.write(ok) });
  const client = await proxy.client();
  client.send(
    "GET /a/../b//c?x=%2f&y={1} HTTP/1.1\r\nhOst: Example.COM:80\r\nX-Two: b\r\nx-two:a  \r\nConnection: X-Gone\r\nX-Gone: 1\r\nKeep-Alive: 5\r\n\r\n",
  );
  await client.until((r) => r.endsWith("hello"));
  expect(proxy.backend.last.received).toBe(
    "GET /a/../b//c?x=%2f&y={1} HTTP/1.1\r\nhOst: Example.COM:80\r\nX-Two: b\r\nx-two: a\r\n\r\n",
  );
});

test("requests that are sent at once are answered in order over one upstream connection", async () => {
  let count = 0;
  await using proxy = await proxied({
    onData: (c) => {
      while (c.received.includes("\r\n\r\n")) {
        c.received = c.received.slice(c.received.indexOf("\r\n\r\n") + 4);
        c.socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${++count}`);
      }
    },
  });
  const client = await proxy.client();
  client.send(
    "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
  );
  const all = await client.untilEnd();
  expect([...all.matchAll(/\r\n\r\n(\d)/g)].map((m) => m[1])).toEqual(["1", "2", "3"]);
  expect(all).toContain("Connection: close");
  expect(proxy.backend.connections.length).toBe(1);
});

test("a chunked request body and its trailers reach the upstream chunked", async () => {
  await using proxy = await proxied({
    onData: (c) => c.received.endsWith("X-Sum: 9\r\n\r\n") && void c.socket.write(ok),
  });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("5\r\nhello\r\n") ?? false);
  client.send("3;x=y\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n");
  await client.until((r) => r.endsWith("hello"));
  expect(proxy.backend.last.received).toBe(
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n",
  );
});

test("an upload may take as long as its parts keep coming: the answer is due from the last one on", async () => {
  const clock = new ManualClock();
  await using proxy = await proxied({ onData: () => undefined, limits: { firstByteMs: 1_000 }, upstreamClock: clock });
  const client = await proxy.client();
  client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
  for (const part of ["a", "b", "c", "d", "e"]) {
    client.send(part);
    await waitFor(() => proxy.backend.connections[0]?.received.endsWith(part) ?? false);
    clock.advance(900);
  }
  expect(proxy.outcomes).toEqual([]);
  clock.advance(300);
  await waitFor(() => proxy.outcomes.length === 1);
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", reason: "the upstream did not answer within 1000 ms" });
});

test("an answer that waits for its rest is given up with its attempt, and what waits with it", async () => {
  const calls: string[] = [];
  const wholeAnswers = {
    begin: () => calls.push("begin") > 0,
    end: () => void calls.push("end"),
  };
  await using proxy = await proxied({
    onData: (c) => c.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
    forward: { wholeAnswers: wholeAnswers as unknown as WholeAnswers },
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await client.until((r) => r.endsWith("lost"))).toStartWith("HTTP/1.1 502");
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", released: false });
  expect(calls).toEqual(["begin", "end"]);
});

test("a chunked response with trailers reaches an HTTP/1.1 client chunked, and an HTTP/1.0 client until the end of the connection", async () => {
  const chunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
  await using proxy = await proxied({ backend: await RawBackend.answering(chunked) });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await client.until((r) => r.endsWith("X-T: 1\r\n\r\n"))).toBe(chunked);
  expect(await roundTrip(proxy, "GET / HTTP/1.0\r\n\r\n")).toBe(
    "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nConnection: close\r\n\r\nabcde",
  );
});

test("a response that ends with its connection is forwarded chunked, and the client connection stays usable", async () => {
  await using proxy = await proxied({
    onData: (c) => c.received.endsWith("\r\n\r\n") && void c.socket.end("HTTP/1.0 200 OK\r\nServer: py\r\n\r\nbody"),
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await client.until((r) => r.endsWith("0\r\n\r\n"))).toBe(
    "HTTP/1.1 200 OK\r\nServer: py\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
  );
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until((r) => r.split("0\r\n\r\n").length === 3);
  expect(proxy.backend.connections.length).toBe(2);
});

test("interim responses pass, and the body follows the 100", async () => {
  await using proxy = await proxied({
    onData: (c) => {
      if (c.received.endsWith("\r\n\r\n"))
        c.socket.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
      if (c.received.endsWith("data!")) c.socket.write(ok);
    },
  });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  await client.until((r) => r.endsWith("100 Continue\r\n\r\n"));
  client.send("data!");
  expect(await client.until((r) => r.endsWith("hello"))).toBe(
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${ok}`,
  );
});

test("a client of HTTP/1.0 gets no interim response, which that version does not have", async () => {
  const early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  await using proxy = await proxied({ backend: await RawBackend.answering(`${early}${ok}`) });
  expect(await roundTrip(proxy, "GET / HTTP/1.0\r\n\r\n")).toStartWith("HTTP/1.1 200 Fine Indeed\r\n");
});

test("HEAD, 204 and 304 have no body and keep their fields", async () => {
  const responses = [
    "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n\r\n",
  ];
  await using proxy = await proxied({
    onData: (c) => {
      if (!c.received.endsWith("\r\n\r\n")) return;
      const at = Number(/\/(\d)/.exec(c.received)?.[1]);
      c.received = "";
      c.socket.write(responses[at] ?? "");
    },
  });
  const client = await proxy.client();
  client.send(
    "HEAD /0 HTTP/1.1\r\nHost: a\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
  );
  expect(await client.until((r) => r.includes("ETag"))).toBe(responses.join(""));
});

test("a client that has ended its side still gets its answer where half-closing clients are served", async () => {
  await using proxy = await proxied({ onData: () => undefined, halfClose: "serve" });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  client.end();
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("\r\n\r\n") ?? false);
  proxy.backend.last.socket.write(ok);
  expect(await client.untilEnd()).toContain("hello");
  expect(proxy.outcomes).toEqual([{ kind: "completed", status: 200 }]);
});

test("a client that has ended its side is gone: its request to the upstream is cancelled", async () => {
  await using proxy = await proxied({ onData: () => undefined });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("\r\n\r\n") ?? false);
  client.end();
  await waitFor(() => proxy.outcomes.length === 1);
  expect(proxy.outcomes).toEqual([{ kind: "client-gone" }]);
  await waitFor(() => proxy.upstream.stats.connections === 0);
});

test("an upstream that breaks off in the middle of a response is seen as broken by the client", async () => {
  await using proxy = await proxied({
    onData: (c) => c.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
  });
  const received = await roundTrip(proxy, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(received.endsWith("half")).toBe(true);
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", released: true });
});

test("a response of an HTTP/1.0 server that is reset reaches an HTTP/1.0 client as a reset, not as an end", async () => {
  await using proxy = await proxied({
    onData: (c) => {
      c.socket.write("HTTP/1.0 200 OK\r\n\r\nhalf");
      setTimeout(() => c.socket.resetAndDestroy(), 20);
    },
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.0\r\n\r\n");
  await waitFor(() => client.closed);
  expect(client.errorCode).toBe("ECONNRESET");
  expect(client.ended).toBe(false);
});

test("a client that goes away ends the request at the upstream", async () => {
  await using proxy = await proxied({ onData: () => undefined });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => proxy.backend.connections.length === 1);
  client.socket.resetAndDestroy();
  await waitFor(() => proxy.backend.last.ended || proxy.backend.last.closed);
  await waitFor(() => proxy.outcomes.length === 1);
  expect(proxy.outcomes).toEqual([{ kind: "client-gone" }]);
});

test("a refused connection is reported as not sent", async () => {
  const gone = await RawBackend.listen();
  await using proxy = await proxied({ backend: gone });
  await gone.close();
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  await client.until((r) => r.endsWith("not-sent"));
  expect(proxy.outcomes).toEqual([{ kind: "not-sent", reason: "ECONNREFUSED" }]);
});

test("a 503 with Stead-Outcome not-executed is an outcome and not an answer, and the connection is used again", async () => {
  let first = true;
  await using proxy = await proxied({
    onData: (c) => {
      c.received = "";
      c.socket.write(first ? "HTTP/1.1 503 No\r\nStead-Outcome: not-executed\r\nContent-Length: 3\r\n\r\nno!" : ok);
      first = false;
    },
    onExchange: (upstream, outcomes) => async (exchange) => {
      const outcome = await exchange.forward(upstream, {});
      outcomes.push(outcome);
      if (outcome.kind === "not-executed") outcomes.push(await exchange.forward(upstream, {}));
    },
  });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  expect(await client.until((r) => r.endsWith("hello"))).toBe(ok);
  expect(proxy.outcomes.map((o) => o.kind)).toEqual(["not-executed", "completed"]);
  expect(proxy.backend.connections.length).toBe(1);
});

test("a tunnel carries bytes both ways at once, those that follow the heads included, and ends by halves", async () => {
  await using proxy = await proxied({
    onData: (c) => {
      if (c.received.endsWith("ping")) c.socket.write("pong");
    },
  });
  const client = await proxy.client();
  client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await waitFor(() => proxy.backend.connections[0]?.received.includes("Upgrade: websocket") ?? false);
  client.send("first");
  proxy.backend.last.socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nearly",
  );
  await client.until((r) => r.endsWith("early"));
  await waitFor(() => proxy.backend.last.received.endsWith("first"));
  client.send("ping");
  await client.until((r) => r.endsWith("pong"));
  client.end();
  await waitFor(() => proxy.backend.last.ended);
  proxy.backend.last.socket.end("bye");
  expect((await client.untilEnd()).endsWith("bye")).toBe(true);
  await waitFor(() => proxy.outcomes.length === 1);
  expect(proxy.outcomes).toEqual([{ kind: "completed", status: 101 }]);
});

test("an application cannot have its requests executed twice by forging Stead-Outcome", async () => {
  const forged = "HTTP/1.1 503 No\r\nStead-Outcome: not-executed\r\nContent-Length: 3\r\n\r\nno!";
  await using proxy = await proxied({
    backend: await RawBackend.answering(forged),
    forward: { upstreamIsHost: false },
  });
  const client = await proxy.client();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
  await client.until((r) => r.endsWith("no!"));
  expect(proxy.outcomes).toEqual([{ kind: "completed", status: 503 }]);
});
