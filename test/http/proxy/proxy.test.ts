import { describe, expect, test } from "bun:test";
import { RequestNamer } from "../../../src/http/proxy/request-namer.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { type OneService, oneService } from "../../support/http/one-service.ts";
import { RawBackend, type BackendConnection } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const answer = (c: BackendConnection): void => {
  while (c.received.includes("\r\n\r\n")) {
    c.received = c.received.slice(c.received.indexOf("\r\n\r\n") + 4);
    c.socket.write(ok);
  }
};
const get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ndata";

test("without a primary requests wait, and the new primary answers them in order", async () => {
  await using g = await oneService({ releaseConcurrency: 1 });
  const clients = [];
  for (let i = 0; i < 5; i++) {
    const client = await g.client();
    client.send(`POST /${i} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ndata`);
    await waitFor(() => g.hold.waiting === i + 1);
    clients.push(client);
  }
  const seen: string[] = [];
  g.serve(
    await g.backend((c) => {
      for (const match of c.received.matchAll(/POST (\/\d)/g)) seen.push(match[1] ?? "");
      c.received = "";
      c.socket.write(ok);
    }),
  );
  for (const client of clients) await client.until((r) => r.endsWith("ok"));
  expect(seen).toEqual(["/0", "/1", "/2", "/3", "/4"]);
  expect(g.ends).toEqual(Array(5).fill("ok held"));
});

test("an idempotent request that its primary lost is resent to the next primary", async () => {
  await using g = await oneService();
  const first = await g.backend(() => undefined);
  g.serve(first);
  const client = await g.client();
  client.send(get);
  await waitFor(() => first.connections[0]?.received.endsWith("\r\n\r\n") ?? false);
  g.stop();
  await waitFor(() => g.hold.waiting === 1);
  g.serve(await g.backend(answer));
  expect(await client.until((r) => r.endsWith("ok"))).toBe(ok);
  expect(g.ends).toEqual(["ok held replayed 1"]);
});

test("a write without a name that its primary lost is never resent: 502 with Stead-Outcome unknown", async () => {
  await using g = await oneService();
  const first = await g.backend(() => undefined);
  g.serve(first);
  const client = await g.client();
  client.send(post);
  await waitFor(() => first.connections[0]?.received.endsWith("data") ?? false);
  const second = await g.backend(answer);
  g.serve(second);
  const received = await client.until((r) => r.includes("outcome_unknown"));
  expect(received.startsWith("HTTP/1.1 502 ")).toBe(true);
  expect(received).toContain("Stead-Outcome: unknown\r\n");
  expect(second.connections.length).toBe(0);
  expect(g.ends).toEqual(["unknown"]);
});

describe("a write with a name", () => {
  const lost = async (g: OneService) => {
    const first = await g.backend(() => undefined);
    g.serve(first, 4);
    const client = await g.client();
    client.send(post.replace("Host: a", "Host: a\r\nStead-Request: 0000000000000000 1 9 again\r\nStead-Epoch: 9"));
    await waitFor(() => first.connections[0]?.received.endsWith("data") ?? false);
    return { first: first.connections[0]?.received ?? "", client };
  };
  const fieldsOf = (text: string): string[] =>
    text
      .split("\r\n")
      .filter((line) => line.startsWith("Stead-"))
      .map((line) => line.replace(/[0-9a-f]{16}/, "RUN"));

  test("that its primary lost goes to the next primary by that name, and nothing of the client's passes for it", async () => {
    await using g = await oneService({ namer: new RequestNamer(systemRandom) });
    const { first, client } = await lost(g);
    expect(fieldsOf(first)).toEqual(["Stead-Epoch: 4", "Stead-Request: RUN 1 0 first"]);
    const second = await g.backend((c) => c.received.endsWith("data") && void c.socket.write(ok));
    g.serve(second, 5);
    expect(await client.until((r) => r.endsWith("ok"))).toBe(ok);
    expect(fieldsOf(second.last.received)).toEqual(["Stead-Epoch: 5-again", "Stead-Request: RUN 1 0 again"]);
    expect(second.last.received.match(/[0-9a-f]{16}/)?.[0]).toBe(first.match(/[0-9a-f]{16}/)?.[0] as string);
    expect(g.ends).toEqual(["ok held replayed 1"]);
  });

  test("that the next primary is in doubt about gets 502 with Stead-Outcome unknown, and is not sent a third time", async () => {
    await using g = await oneService({ namer: new RequestNamer(systemRandom), againMax: 5 });
    const { client } = await lost(g);
    const doubt =
      "HTTP/1.1 502 Bad Gateway\r\nStead-Outcome: unknown\r\nStead-Cause: in-doubt\r\nStead-Reason: it may be kept\r\nContent-Length: 0\r\n\r\n";
    let asked = 0;
    g.serve(await g.backend((c) => c.received.endsWith("data") && void ((asked += 1), c.socket.write(doubt))), 5);
    const received = await client.until((r) => r.includes("outcome_unknown"));
    expect(received).toContain("it may be kept");
    expect([g.ends, asked]).toEqual([["unknown held replayed 1"], 1]);
  });

  test("is not sent again in the epoch that lost it", async () => {
    await using g = await oneService({ namer: new RequestNamer(systemRandom), patienceMs: 100 });
    const { client } = await lost(g);
    const same = await g.backend(answer);
    g.serve(same, 4);
    await client.until((r) => r.includes("outcome_unknown"));
    expect(same.connections.length).toBe(0);
  });
});

test("a write whose connection is refused waits and goes to the next primary", async () => {
  await using g = await oneService();
  const gone = await RawBackend.listen();
  g.serve(gone);
  await gone.close();
  const client = await g.client();
  client.send(post);
  await waitFor(() => g.errors.length > 0);
  expect(g.errors[0]).toBe("ECONNREFUSED");
  const second = await g.backend((c) => c.received.endsWith("data") && void c.socket.write(ok));
  g.serve(second);
  await client.until((r) => r.endsWith("ok"));
  expect(second.last.received.endsWith("data")).toBe(true);
  expect(g.ends[0]).toStartWith("ok");
});

test("a write that a host says it did not execute goes, with its body, to the next primary", async () => {
  await using g = await oneService();
  g.serve(
    await g.backend(
      (c) =>
        c.received.endsWith("data") &&
        void c.socket.write("HTTP/1.1 503 Stepping Down\r\nStead-Outcome: not-executed\r\nContent-Length: 0\r\n\r\n"),
    ),
  );
  const client = await g.client();
  client.send(post);
  const second = await g.backend((c) => c.received.endsWith("data") && void c.socket.write(ok));
  g.serve(second);
  expect(await client.until((r) => r.endsWith("ok"))).toBe(ok);
  expect(second.last.received).toBe(post);
});

test("a request that has waited as long as allowed gets 503 with Retry-After and the reason", async () => {
  await using g = await oneService({ waitMsMax: 50 });
  const client = await g.client();
  client.send(post);
  const received = await client.until((r) => r.includes("hold_timeout"));
  expect(received.startsWith("HTTP/1.1 503 ")).toBe(true);
  expect(received).toContain("Retry-After: 1\r\n");
  expect(received).toContain("Stead-Outcome: not-executed\r\n");
  expect(g.ends).toEqual(["failed held"]);
  client.send(get);
  await client.until((r) => r.split("hold_timeout").length === 3);
});

test("an idempotent request that was lost and then waited too long is not reported as not executed", async () => {
  await using g = await oneService({ patienceMs: 300 });
  const first = await g.backend(() => undefined);
  g.serve(first);
  const client = await g.client();
  client.send("DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => first.connections[0]?.received.endsWith("\r\n\r\n") ?? false);
  g.stop();
  expect(await client.until((r) => r.includes("Stead-Outcome"))).toContain("Stead-Outcome: unknown\r\n");
});

/** Counts requests by their method and answers none: the connection ends, as when a host is lost. */
function losing(seen: Record<string, number>): (connection: BackendConnection) => void {
  return (c) => {
    if (!c.received.endsWith("\r\n\r\n")) return;
    const method = c.received.slice(0, c.received.indexOf(" "));
    seen[method] = (seen[method] ?? 0) + 1;
    c.socket.destroy();
  };
}

test("a lost PUT is not resent to the primary that lost it; a lost GET is, once", async () => {
  await using g = await oneService({ patienceMs: 300 });
  const seen: Record<string, number> = {};
  g.serve(await g.backend(losing(seen)));
  const put = await g.client();
  put.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
  expect(await put.until((r) => r.includes("Stead-Outcome"))).toContain("502");
  const client = await g.client();
  client.send(get);
  expect(await client.until((r) => r.includes("the host was lost twice while it had this request"))).toStartWith(
    "HTTP/1.1 502 ",
  );
  expect(seen).toEqual({ PUT: 1, GET: 2 });
});

test("a host that lost a request is avoided for longer than one that refused it, and not at all once the service is held", async () => {
  let now = 0;
  const slept: number[] = [];
  const clock: Clock = {
    ...systemClock,
    now: () => now,
    sleep: (ms) => ((now += ms), slept.push(ms), Promise.resolve()),
  };
  await using g = await oneService({ clock });
  const dying = await g.backend((c) => c.socket.resetAndDestroy());
  g.serve(dying);
  const client = await g.client();
  client.send(get);
  expect(await client.until((r) => r.includes("the host was lost twice"))).toStartWith("HTTP/1.1 502 ");
  expect(now).toBeGreaterThanOrEqual(60);
  slept.length = 0;
  const held = await g.backend((c) => {
    c.socket.resetAndDestroy();
    g.hold.close();
  });
  g.serve(held);
  client.send(get);
  await waitFor(() => g.hold.waiting === 1);
  expect(slept).toEqual([]);
  g.serve(await g.backend(answer));
  expect(await client.until((r) => r.endsWith("ok"))).toContain("200 OK");
});

test("a setting limits how often a lost request is resent, down to never", async () => {
  for (const againMax of [0, 3]) {
    await using g = await oneService({ againMax });
    const seen: Record<string, number> = {};
    g.serve(await g.backend(losing(seen)));
    const client = await g.client();
    client.send(get);
    await client.until((r) => r.includes("outcome_unknown"));
    expect(seen).toEqual({ GET: againMax + 1 });
  }
});

/** The same answer of a host for every request; counts the requests. */
async function answering(g: OneService, text: string): Promise<{ count: number }> {
  const seen = { count: 0 };
  g.serve(
    await g.backend((c) => {
      if (!c.received.endsWith("\r\n\r\n")) return;
      c.received = "";
      seen.count++;
      c.socket.write(text);
    }),
  );
  return seen;
}

const verdict = (cause: string, reason: string): string =>
  `HTTP/1.1 502 Bad Gateway\r\nStead-Outcome: unknown\r\nStead-Cause: ${cause}\r\nStead-Reason: ${reason}\r\nContent-Length: 0\r\n\r\n`;

test("a request whose application ends twice gets 502 at once, with that reason", async () => {
  await using g = await oneService();
  const seen = await answering(g, verdict("application-ended", "ECONNRESET"));
  const client = await g.client();
  client.send(get);
  expect(await client.until((r) => r.includes("outcome_unknown"))).toContain(
    "the application ended twice while it had this request",
  );
  expect(seen.count).toBe(2);
  expect(g.ends).toEqual(["unknown replayed 1"]);
});

test("a GET whose connection a living application closes is executed once, and gets 502", async () => {
  await using g = await oneService();
  const seen = await answering(g, verdict("closed", "the upstream closed the connection without an answer"));
  const client = await g.client();
  client.send(get);
  const received = await client.until((r) => r.includes("without an answer"));
  expect(received).toStartWith("HTTP/1.1 502 ");
  expect(received).toContain("Stead-Outcome: unknown\r\n");
  expect(seen.count).toBe(1);
});

test("an answer with a doubled Transfer-Encoding is asked for once, and the rule that it breaks is named", async () => {
  await using g = await oneService();
  const seen = await answering(
    g,
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  );
  const client = await g.client();
  client.send(get);
  const received = await client.until((r) => r.includes("RFC 9112, 6.1"));
  expect(received).toStartWith("HTTP/1.1 502 ");
  expect(received).toContain(
    "invalid_answer: the application's answer is invalid and was not passed on: Transfer-Encoding must occur once (RFC 9112, 6.1)",
  );
  expect(seen.count).toBe(1);
  expect(g.ends).toEqual(["unknown"]);
});

test("the rule that a host found broken reaches the client, and the request is executed once", async () => {
  await using g = await oneService();
  const seen = await answering(g, verdict("invalid-answer", "Transfer-Encoding must occur once (RFC 9112, 6.1)"));
  const client = await g.client();
  client.send(get);
  expect(await client.until((r) => r.includes("RFC 9112, 6.1"))).toContain("invalid_answer");
  expect(seen.count).toBe(1);
});

test("a GET whose first byte takes too long gets 504 with Stead-Outcome unknown, and is executed once", async () => {
  await using g = await oneService({ firstByteMs: 1 });
  const seen = await answering(g, "");
  const client = await g.client();
  client.send(get);
  const received = await client.until((r) => r.includes("no_answer_in_time"));
  expect(received).toStartWith("HTTP/1.1 504 Gateway Timeout\r\n");
  expect(received).toContain("Stead-Outcome: unknown\r\n");
  expect(seen.count).toBe(1);
});

test("a request that its host has set aside gets 503 with the host's Retry-After, and is not resent", async () => {
  await using g = await oneService();
  const seen = await answering(
    g,
    "HTTP/1.1 503 No\r\nStead-Outcome: not-executed\r\nStead-Cause: suspect-request\r\nStead-Reason: it ends the application\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
  );
  const client = await g.client();
  client.send(get);
  const received = await client.until((r) => r.includes("suspect_request"));
  expect(received).toStartWith("HTTP/1.1 503 ");
  expect(received).toContain("Retry-After: 7\r\n");
  expect(received).toContain("Stead-Outcome: not-executed\r\n");
  expect(seen.count).toBe(1);
});

test("a client that ends its side while it waits leaves the queue, and nothing of it is sent", async () => {
  await using g = await oneService();
  const client = await g.client();
  client.send(get);
  await waitFor(() => g.hold.waiting === 1);
  client.end();
  await waitFor(() => g.hold.waiting === 0);
  const backend = await g.backend(answer);
  g.serve(backend);
  await waitFor(() => g.ends.length === 1);
  expect(g.ends).toEqual(["client-gone held"]);
  expect(backend.connections.length).toBe(0);
});

test("a client that ends its side after its request was lost is not the cause of a repetition", async () => {
  await using g = await oneService();
  const first = await g.backend(() => undefined);
  g.serve(first);
  const client = await g.client();
  client.send(get);
  await waitFor(() => first.connections[0]?.received.endsWith("\r\n\r\n") ?? false);
  g.stop();
  await waitFor(() => g.hold.waiting === 1);
  client.end();
  await waitFor(() => g.ends.length === 1);
  const second = await g.backend(answer);
  g.serve(second);
  expect(g.ends).toEqual(["client-gone held replayed 1"]);
  expect(second.connections.length).toBe(0);
});

test("a request whose client goes away while it waits is not forwarded", async () => {
  await using g = await oneService();
  const client = await g.client();
  client.send(post);
  await waitFor(() => g.hold.waiting === 1);
  client.socket.resetAndDestroy();
  await waitFor(() => g.hold.waiting === 0);
  const backend = await g.backend(answer);
  g.serve(backend);
  await waitFor(() => g.ends.length === 1);
  expect(g.ends).toEqual(["client-gone held"]);
  expect(backend.connections.length).toBe(0);
});

test("a tunnel of a lost primary ends cleanly, so that the client connects again", async () => {
  await using g = await oneService();
  g.serve(
    await g.backend(
      (c) =>
        c.received.endsWith("\r\n\r\n") &&
        void c.socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    ),
  );
  const client = await g.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await client.until((r) => r.includes("101"));
  g.stop();
  await client.untilEnd();
  expect(client.errorCode).toBeUndefined();
});

test("a stream that was released from the hold does not keep others waiting", async () => {
  await using g = await oneService({ releaseConcurrency: 1 });
  const stream = await g.client();
  stream.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => g.hold.waiting === 1);
  const other = await g.client();
  other.send(get);
  await waitFor(() => g.hold.waiting === 2);
  g.serve(
    await g.backend((c) => {
      const streams = c.received.includes("/stream");
      c.received = "";
      c.socket.write(streams ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n" : ok);
    }),
  );
  await other.until((r) => r.endsWith("ok"));
  expect(stream.received).toContain("hi");
});

test("a host's answer that an outcome is unknown is passed on for a write; a read is resent", async () => {
  await using g = await oneService();
  let lost = 0;
  g.serve(
    await g.backend((c) => {
      const isRead = c.received.startsWith("GET");
      if (!c.received.endsWith("data") && !isRead) return;
      c.received = "";
      if (isRead && lost > 0) {
        c.socket.write(ok);
        return;
      }
      lost++;
      c.socket.write("HTTP/1.1 502 Bad Gateway\r\nStead-Outcome: unknown\r\nContent-Length: 4\r\n\r\nlost");
    }),
  );
  const writer = await g.client();
  writer.send(post);
  expect(await writer.until((r) => r.includes("outcome_unknown"))).toContain("Stead-Outcome: unknown\r\n");
  lost = 0;
  const reader = await g.client();
  reader.send(get);
  expect(await reader.until((r) => r.endsWith("ok"))).toBe(ok);
  expect(g.ends).toEqual(["unknown", "ok replayed 1"]);
});

test("a host that does not execute requests for a while is asked again until patience ends, with growing pauses", async () => {
  await using g = await oneService({ patienceMs: 300 });
  let asked = 0;
  g.serve(
    await g.backend((c) => {
      asked++;
      c.received = "";
      c.socket.write("HTTP/1.1 503 No\r\nStead-Outcome: not-executed\r\nContent-Length: 0\r\n\r\n");
    }),
  );
  const client = await g.client();
  client.send(get);
  const received = await client.until((r) => r.includes("no_primary"));
  expect(received).toContain("Stead-Outcome: not-executed\r\n");
  expect(asked).toBeGreaterThan(2);
  expect(asked).toBeLessThan(20);
});

test("an upload whose host was lost after 100 (Continue) is resent, and its client is told to continue once", async () => {
  await using g = await oneService({ namer: new RequestNamer(systemRandom) });
  const upload = (c: BackendConnection): boolean => c.received.endsWith("data");
  const go = "HTTP/1.1 100 Continue\r\n\r\n";
  const first = await g.backend((c) => void (upload(c) || c.socket.write(go)));
  g.serve(first, 1);
  const client = await g.client();
  client.send("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  await client.until((r) => r === go);
  client.send("data");
  await waitFor(() => first.connections[0]?.received.endsWith("data") === true);
  g.serve(await g.backend((c) => void (upload(c) && c.socket.write(`${go}${ok}`))), 2);
  expect(await client.until((r) => r.endsWith("ok"))).toBe(`${go}${ok}`);
  expect(g.ends).toEqual(["ok held replayed 1"]);
});
