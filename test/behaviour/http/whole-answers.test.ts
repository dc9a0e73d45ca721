/**
 * What a client sees of an answer whose upstream ends in the middle: nothing of a short one, and of every other one a
 * cut, never an end.
 */
import { expect, test } from "bun:test";
import { restMs, WholeAnswers } from "../../../src/http/upstream/whole-answers.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { type OneService, oneService } from "../../support/http/one-service.ts";
import type { BackendConnection } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

const head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
const get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
const post = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\ndata";
const isWhole = (received: string): boolean => received.endsWith("\r\n\r\n") || received.endsWith("data");

/** A gateway whose answers up to ten bytes leave whole. The clock of their waits stands still. */
async function stage(): Promise<OneService & { readonly waits: ManualClock }> {
  const waits = new ManualClock();
  const service = await oneService({ wholeAnswers: new WholeAnswers({ bytesMax: 10, clock: waits }) });
  return Object.assign(service, { waits });
}

/** Answers each whole request with `text`, which may be a part of an answer. */
const answering =
  (text: string) =>
  (connection: BackendConnection): void => {
    if (!isWhole(connection.received)) return;
    connection.received = "";
    connection.socket.write(text, "latin1");
  };

for (const part of [head, `${head}half`])
  test(`a GET whose answer is lost after ${part.length - head.length} bytes of its body is resent, and its client sees one answer`, async () => {
    await using g = await stage();
    g.serve(await g.backend(answering(part)));
    const client = await g.client();
    client.send(get);
    await waitFor(() => g.waits.timers === 1);
    g.stop();
    await waitFor(() => g.hold.waiting === 1);
    g.serve(await g.backend(answering(`${head}0123456789`)));
    expect(await client.until((r) => r.endsWith("9"))).toBe(`${head}0123456789`);
    expect(g.ends).toEqual(["ok held replayed 1"]);
    expect(g.waits.timers).toBe(0);
    client.send(get);
    expect(await client.until((r) => r.length === 2 * head.length + 20)).toBe(`${head}0123456789`.repeat(2));
  });

test("a GET whose answer its living primary cuts is resent to it", async () => {
  await using g = await stage();
  let asked = 0;
  g.serve(
    await g.backend((c) => {
      if (++asked === 1) c.socket.end(`${head}half`);
      else c.socket.write(`${head}0123456789`);
    }),
  );
  const client = await g.client();
  client.send(get);
  expect(await client.until((r) => r.endsWith("9"))).toBe(`${head}0123456789`);
  expect(g.ends).toEqual(["ok replayed 1"]);
});

test("a POST whose answer is lost in the middle gets 502 with Stead-Outcome unknown, and its connection stays", async () => {
  await using g = await stage();
  const seen: string[] = [];
  g.serve(
    await g.backend((c) => {
      if (!isWhole(c.received)) return;
      seen.push(c.received);
      if (c.received === post) c.socket.end(`${head}half`);
      else c.socket.write(`${head}0123456789`);
      c.received = "";
    }),
  );
  const client = await g.client();
  client.send(post);
  const received = await client.until((r) => r.includes("outcome_unknown"));
  expect(received).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
  expect(received).toContain("Stead-Outcome: unknown\r\n");
  expect(received).not.toContain("half");
  client.send(get);
  await client.until((r) => r.endsWith(`${head}0123456789`));
  expect(seen.filter((request) => request === post)).toEqual([post]);
  expect(g.ends).toEqual(["unknown", "ok"]);
});

test("an answer that comes in parts within its time leaves whole, and its upstream connection is used again", async () => {
  await using g = await stage();
  const backend = await g.backend(answering(head));
  g.serve(backend);
  const client = await g.client();
  client.send(get);
  await waitFor(() => g.waits.timers === 1);
  backend.last.socket.write("01234");
  expect(client.received).toBe("");
  backend.last.socket.write("56789");
  expect(await client.until((r) => r.endsWith("9"))).toBe(`${head}0123456789`);
  expect(g.waits.timers).toBe(0);
  client.send(get);
  await waitFor(() => g.waits.timers === 1);
  expect(backend.connections.length).toBe(1);
});

test("an answer whose rest is late passes as it comes, and its loss is then a cut", async () => {
  await using g = await stage();
  const backend = await g.backend(answering(head));
  g.serve(backend);
  const client = await g.client();
  client.send(get);
  await waitFor(() => g.waits.timers === 1);
  expect(client.received).toBe("");
  g.waits.advance(restMs);
  await client.until((r) => r === head);
  backend.last.socket.write("half");
  await client.until((r) => r === `${head}half`);
  backend.last.socket.end();
  expect(await client.untilEnd()).toBe(`${head}half`);
  expect(g.ends).toEqual(["unknown"]);
});

test("a client that goes away while its answer waits leaves nothing behind", async () => {
  await using g = await stage();
  const backend = await g.backend(answering(head));
  g.serve(backend);
  const client = await g.client();
  client.send(get);
  await waitFor(() => g.waits.timers === 1);
  client.socket.resetAndDestroy();
  await waitFor(() => g.ends.length === 1);
  expect(g.ends).toEqual(["client-gone"]);
  expect(g.waits.timers).toBe(0);
});

const upgrade = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const passing: readonly [what: string, request: string, answer: string][] = [
  ["a longer answer", get, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhalf"],
  ["a chunked answer", get, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
  ["an event stream", get, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 10\r\n\r\nhalf"],
  ["an interim answer", get, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"],
  ["the answer to HEAD", get.replace("GET", "HEAD"), head],
  ["304", get, "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n"],
  ["204", get, "HTTP/1.1 204 No Content\r\n\r\n"],
  ["a tunnel", upgrade, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhalf"],
];
for (const [what, request, answer] of passing)
  test(`${what} passes as it comes`, async () => {
    await using g = await stage();
    g.serve(await g.backend(answering(answer)));
    const client = await g.client();
    client.send(request);
    expect(await client.until((r) => r === answer)).toBe(answer);
    expect(g.waits.timers).toBe(0);
  });

test("the parts of an answer without a length leave, and its loss is a cut: no end of chunks follows", async () => {
  await using g = await stage();
  for (const text of [
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "HTTP/1.0 200 OK\r\n\r\nhalf",
  ]) {
    const backend = await g.backend(answering(text));
    g.serve(backend);
    const client = await g.client();
    client.send(get);
    await client.until((r) => r.endsWith("half\r\n"));
    backend.last.socket.resetAndDestroy();
    expect(await client.untilEnd()).toEndWith("4\r\nhalf\r\n");
  }
  expect(g.ends).toEqual(["unknown", "unknown"]);
});

test("a chunked answer of which nothing was passed on is resent for a GET, and 502 for a POST", async () => {
  await using g = await stage();
  let asked = 0;
  g.serve(
    await g.backend((c) => {
      if (!isWhole(c.received)) return;
      if (++asked < 3) c.socket.end("HTTP/1.1 200 OK\r\nTransfer-Enc");
      else c.socket.write(`${head}0123456789`);
    }),
  );
  const client = await g.client();
  client.send(post);
  expect(await client.until((r) => r.includes("outcome_unknown"))).toContain("Stead-Outcome: unknown\r\n");
  client.send(get);
  await client.until((r) => r.endsWith(`${head}0123456789`));
  expect(g.ends).toEqual(["unknown", "ok replayed 1"]);
});
