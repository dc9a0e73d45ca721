/**
 * Attack A4: `Connection: stead-epoch, x-request-id` in a request removed the fields that the gateway had added, and
 * with the first the fence of a late PUT: the host executed a request of an earlier epoch.
 *
 * Rule: the options of `Connection` remove what the sender sent and nothing that a later step adds, in both directions.
 */
import { afterEach, expect, test } from "bun:test";
import { forwardedFields } from "../../src/http/proxy/forwarded-fields.ts";
import { requestIdFields } from "../../src/http/server/request-id.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import type { ForwardOptions } from "../../src/http/upstream/exchange.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { RawBackend } from "../support/http/raw-backend.ts";
import { RawClient } from "../support/http/raw-client.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

/** As a gateway assembles it: the client's identity, the request's id and its trace, the epoch. */
async function forwarded(request: string, response: string, options: ForwardOptions = {}) {
  const backend = await RawBackend.answering(response);
  let arrived = "";
  backend.onConnection = (socket) => socket.on("data", (chunk) => (arrived += chunk.toString("latin1")));
  const upstream = new Upstream({ host: "127.0.0.1", port: backend.port, clock: systemClock, epoch: 7 });
  const addClient = forwardedFields();
  const addName = requestIdFields({ traceparent: "make", random: systemRandom });
  const server = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock },
    onExchange: (exchange) =>
      exchange
        .forward(upstream, {
          editRequestFields: (headers, each) => addName(addClient(headers, each), each),
          ...options,
        })
        .then(() => undefined),
  });
  const client = await RawClient.connect(server.port);
  undo.push(
    () => backend.close(),
    () => upstream.abort("over"),
    () => server.abort(),
    () => client.destroy(),
  );
  client.send(request);
  const received = await client.until((text) => text.endsWith("ok"));
  return { arrived, received };
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const added = ["Stead-Epoch: 7", "X-Request-Id: ", "traceparent: 00-", "X-Forwarded-For: 127.0.0.1", "Forwarded: for="];

for (const connection of [
  "stead-epoch, x-request-id, traceparent",
  "Stead-Epoch",
  "STEAD-EPOCH, keep-alive, X-Request-ID",
  "close, stead-epoch, traceparent, x-request-id",
  "te, stead-epoch, stead-cause, x-request-id, traceparent",
])
  test(`Connection: ${connection} removes nothing that the gateway adds`, async () => {
    const { arrived } = await forwarded(`PUT / HTTP/1.1\r\nHost: a\r\nConnection: ${connection}\r\n\r\n`, ok);
    for (const line of added) expect(arrived).toContain(`\r\n${line}`);
    expect(arrived.toLowerCase()).not.toContain("\r\nconnection:");
  });

test("two Connection fields, and HTTP/1.0, make no difference", async () => {
  const { arrived } = await forwarded(
    "PUT / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nConnection: stead-epoch\r\n\r\n",
    ok,
  );
  for (const line of added) expect(arrived).toContain(`\r\n${line}`);
});

test("what the client sent and names is removed, and replaced by the gateway's own", async () => {
  const { arrived } = await forwarded(
    "PUT / HTTP/1.1\r\nHost: a\r\nConnection: x-secret, x-request-id, stead-epoch\r\nX-Secret: s\r\nX-Request-Id: mine\r\nStead-Epoch: 3\r\nX-Other: o\r\n\r\n",
    ok,
  );
  expect(arrived).not.toContain("X-Secret");
  expect(arrived).not.toContain("mine");
  expect(arrived).toContain("\r\nX-Other: o");
  expect(arrived.match(/stead-epoch/gi)).toHaveLength(1);
  for (const line of added) expect(arrived).toContain(`\r\n${line}`);
});

test("a response's Connection removes what the application sent, and nothing that this program adds", async () => {
  const { received } = await forwarded(
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: x-added, x-own\r\nX-Own: o\r\nContent-Length: 2\r\n\r\nok",
    { editResponseFields: ({ headers }) => headers.with("X-Added", "a") },
  );
  expect(received).toContain("\r\nX-Added: a");
  expect(received).not.toContain("X-Own");
});

for (const name of ["host", "content-length", "x-forwarded-for", "forwarded", "cookie", "authorization"])
  test(`Connection: ${name} is refused, because the field is meant for the end of the chain`, async () => {
    const server = await HttpServer.listen({
      ...{ host: "127.0.0.1", port: 0, clock: systemClock },
      onExchange: (exchange) => exchange.respond({ status: 200 }),
    });
    undo.push(() => server.abort());
    const client = await RawClient.connect(server.port);
    client.send(`GET / HTTP/1.1\r\nHost: a\r\nConnection: ${name}\r\n\r\n`);
    expect(await client.untilEnd()).toStartWith("HTTP/1.1 400");
  });
