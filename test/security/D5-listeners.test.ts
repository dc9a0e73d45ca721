/**
 * Attacks D5 and D6: any client holds connections to the admin listener of a gateway or the control listener of a host,
 * without a request, with half of a head or half of a body, until descriptors run out: there was no bound and no time
 * limit. A stream whose line arrives in small pieces was searched from its beginning for each of them.
 *
 * Rule: a connection of an API counts from accept and has a time limit wherever it could be kept for nothing
 * (control/server/api-connections.ts); the longest waiting one makes room, one with a request never does; only what is
 * new is searched.
 */
import { afterEach, expect, spyOn, test } from "bun:test";
import { stream } from "hono/streaming";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { ChannelClient } from "../../src/control/channel/client.ts";
import { anyOf } from "../../src/control/channel/transcript.ts";
import { callLines } from "../../src/control/json-call.ts";
import { createApi } from "../../src/control/server/api.ts";
import { limitBody } from "../../src/control/server/body.ts";
import { type ApiListener, listenApi } from "../../src/control/server/listener.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { sealedHandler } from "../support/control/sealed.ts";
import { until } from "../support/gateway/cluster.ts";
import { RawClient } from "../support/http/raw-client.ts";

const long = 3_600_000;
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

const limits = {
  connectionsMax: 1_000,
  connectionsPerAddressMax: 1_000,
  firstHeadMs: long,
  bodyMs: long,
  idleMs: long,
};
async function serve(change: Partial<typeof limits>): Promise<ApiListener> {
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log: silent });
  app.get("/stream", (c) =>
    stream(c, async (out) => {
      await out.write("begun\n");
      await new Promise<void>((resolve) => out.onAbort(resolve));
    }),
  );
  app.use(limitBody());
  app.post("/body", async (c) => c.text(`${(await c.req.text()).length} read`));
  app.post("/unread", async (c) => {
    await systemClock.sleep(1_000);
    return c.text("done without it");
  });
  app.get("/short", (c) => c.text("answered"));
  const listener = await listenApi(app, { host: "127.0.0.1", port: 0 }, { limits: { ...limits, ...change } });
  undo.push(() => listener.close());
  return listener;
}

async function client({ port }: ApiListener, sent = ""): Promise<RawClient> {
  const opened = await RawClient.connect(port);
  undo.push(() => opened.destroy());
  if (sent !== "") opened.send(sent);
  return opened;
}
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const post = (length: number, body: string): string =>
  `POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${body}`;

test("no connection is kept that sends nothing, half of a head, or a byte of it now and then", async () => {
  const listener = await serve({ firstHeadMs: 300 });
  const dripping = await client(listener, "GET / HT");
  const drip = setInterval(() => dripping.send("x"), 20);
  undo.push(() => clearInterval(drip));
  await Promise.all([(await client(listener)).untilEnd(), (await client(listener, "GET / HT")).untilEnd()]);
  await dripping.untilEnd();
  await until(() => listener.connections === 0);
}, 10_000);

test("nor one with half of a body, or one that is idle behind its answer", async () => {
  const listener = await serve({ bodyMs: 200, idleMs: 200 });
  const half = await client(listener, post(10, "ab"));
  await half.untilEnd();
  const idle = await client(listener, get("/short"));
  await idle.until((received) => received.endsWith("answered"));
  await idle.untilEnd();
  await until(() => listener.connections === 0);
}, 10_000);

test("a stream, and a connection that asks again in time, stay", async () => {
  const listener = await serve({ firstHeadMs: 200, bodyMs: 200, idleMs: 1_500 });
  const streaming = await client(listener, get("/stream"));
  await streaming.until((received) => received.includes("begun"));
  const unread = await client(listener, post(2, "{}").replace("/body", "/unread"));
  const again = await client(listener, post(5, "hello"));
  await again.until((received) => received.includes("5 read"));
  const other = await client(listener);
  await other.untilEnd();
  again.send(post(6, "hello!"));
  await again.until((received) => received.includes("6 read"));
  await unread.until((received) => received.endsWith("done without it"));
  expect([streaming.ended || streaming.closed, again.ended || again.closed]).toEqual([false, false]);
}, 10_000);

test("all places are taken: the longest waiting makes room, and a new client is answered", async () => {
  const listener = await serve({ connectionsMax: 4 });
  const streams = [await client(listener, get("/stream")), await client(listener, get("/stream"))];
  for (const each of streams) await each.until((received) => received.includes("begun"));
  const silent = [];
  for (let n = 0; n < 40; n++) silent.push(await client(listener));
  const asking = await client(listener, get("/short"));
  await asking.until((received) => received.endsWith("answered"));
  expect(listener.connections).toBeLessThanOrEqual(4);
  expect(streams.map(({ ended, closed }) => ended || closed)).toEqual([false, false]);
  const third = await client(listener, get("/stream"));
  const fourth = await client(listener, get("/stream"));
  for (const each of [third, fourth]) await each.until((received) => received.includes("begun"));
  // Each of the four has a request now.
  expect(await (await client(listener, get("/short"))).untilEnd()).toBe("");
}, 10_000);

test("a line that arrives in many pieces is searched once, and is whole", async () => {
  const pieces = 200;
  const piece = "x".repeat(5_000);
  const sendPieces = async (response: ServerResponse): Promise<void> => {
    response.write('"');
    for (let n = 0; n < pieces; n++) {
      response.write(piece);
      await systemClock.sleep(1);
    }
    response.end('"\n"second"\n');
  };
  const server = createServer(
    sealedHandler("s".repeat(16), { role: "host", id: "s/a" }, (_, response) => void sendPieces(response)),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  undo.push(() => server.close());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const call = { method: "GET", path: "/", timeoutMs: 9_000, silenceMs: 9_000 } as const;
  const channel = ChannelClient.ofOperator("s".repeat(16), systemClock);
  const lines: unknown[] = [];
  const searched = spyOn(String.prototype, "split");
  const end = await callLines({ baseUrl, caller: channel, to: anyOf("host"), clock: systemClock }, call, (line) => {
    lines.push(line);
    return true;
  });
  const characters = searched.mock.contexts
    .map((text) => String(text))
    .filter((text) => text.includes("xxx"))
    .reduce((sum, text) => sum + text.length, 0);
  searched.mockRestore();
  expect(end).toEqual({ kind: "ended", status: 200 });
  expect(lines).toEqual([piece.repeat(pieces), "second"]);
  expect(characters).toBeLessThanOrEqual(pieces * piece.length + 100);
}, 20_000);
