import { expect, test } from "bun:test";
import { httpLimits } from "../../../src/http/limits.ts";
import { readRequest } from "../../../src/http/message/read-request.ts";
import { spoolBlockBytes } from "../../../src/http/spool/spooled-body.ts";
import type { AttemptClient } from "../../../src/http/upstream/exchange.ts";
import { RequestSender } from "../../../src/http/upstream/request-sender.ts";
import type { UpstreamConnection } from "../../../src/http/upstream/upstream-connection.ts";
import type { Piece } from "../../../src/runtime/tcp/tcp.ts";
import { waitFor } from "../../support/http/raw-client.ts";
import { bodyOf, spoolFixture } from "../../support/http/spool.ts";

const limits = httpLimits({});
const blocks = 20;

/** A body of `blocks` in a file, and an upstream that takes what it is told to. */
async function sending() {
  const fixture = spoolFixture();
  const content = bodyOf(blocks * spoolBlockBytes);
  const memory = { total: 0 };
  const spooled = fixture.spool.take(content.length, { memory, memoryBytesMax: 2 ** 30 }, () => undefined);
  if (spooled === undefined) throw new Error("no room");
  spooled.append(content);
  await waitFor(() => memory.total === 0);
  const head = Buffer.from(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${content.length}\r\n\r\n`);
  const request = readRequest(head, 0, head.length, limits)?.request;
  const flows: string[] = [];
  const client = {
    ...{ request, limits, kept: [], spooled, bodyBytes: content.length, bodyTrailers: undefined, isBodyDone: false },
    connection: { localAuthority: "a" },
    setBodyFlow: (flow: string) => void flows.push(flow),
  };
  const sent: Piece[] = [];
  const connection = {
    waitingBytes: 0,
    aborted: "",
    writeAll(pieces: readonly Piece[]) {
      sent.push(...pieces);
      this.waitingBytes += pieces.reduce((sum, { length }) => sum + length, 0);
    },
    abort(reason: string) {
      this.aborted = reason;
    },
  };
  let parts = 0;
  const sender = new RequestSender(client as unknown as AttemptClient, connection as unknown as UpstreamConnection, {
    onBodySent: () => (parts += 1),
  });
  if (request !== undefined) sender.start(request.headers);
  return {
    ...{ sender, spooled, connection, client, flows, content, sent, fixture },
    get parts() {
      return parts;
    },
    body: () => Buffer.concat(sent.filter((piece) => Buffer.isBuffer(piece))),
    drain() {
      connection.waitingBytes = 0;
      sender.onDrain();
    },
    [Symbol.dispose]: () => {
      spooled.closeReading();
      spooled.release();
      fixture[Symbol.dispose]();
    },
  };
}

test("a body in a file is read only as far as the upstream takes it, and its client waits until all of it was sent", async () => {
  using s = await sending();
  const atOnce = Math.floor(limits.writeBufferBytesMax / spoolBlockBytes) + 1;
  await waitFor(() => s.parts >= atOnce - 1 && s.connection.waitingBytes > limits.writeBufferBytesMax);
  const first = s.parts;
  // Whatever the file has answered by then, no more is read.
  await new Promise((resolve) => setImmediate(resolve));
  expect([s.parts, s.sender.isCongested]).toEqual([first, true]);
  expect(first).toBeLessThanOrEqual(atOnce);
  s.sender.send(Buffer.from("what arrives goes to the file"));
  while (s.flows.length === 0) {
    const before = s.parts;
    s.drain();
    await waitFor(() => s.flows.length > 0 || s.parts > before);
  }
  expect([s.flows, s.sender.isDone]).toEqual([["to-attempt"], false]);
  expect(s.body().equals(s.content)).toBe(true);
  s.drain();
  s.sender.send(Buffer.from("more"));
  s.sender.sendEnd(undefined);
  expect([s.body().subarray(-4).toString(), s.sender.isDone]).toEqual(["more", true]);
});

test("a file that cannot be read ends the connection, before a byte that did not arrive is sent", async () => {
  using s = await sending();
  await waitFor(() => s.connection.waitingBytes > limits.writeBufferBytesMax);
  const sent = s.body();
  const damaged = Object.assign(s.spooled, {
    read: () => ({ isOver: false, next: () => Promise.reject(new Error("EIO: i/o error, read")) }),
  });
  damaged.closeReading();
  const again = new RequestSender(s.client as unknown as AttemptClient, s.connection as unknown as UpstreamConnection, {
    onBodySent: () => undefined,
  });
  s.connection.waitingBytes = 0;
  if (s.client.request !== undefined) again.start(s.client.request.headers);
  await waitFor(() => s.connection.aborted !== "");
  expect(s.connection.aborted).toBe("the kept body of the request cannot be read: EIO: i/o error, read");
  expect([s.body().equals(sent), again.isDone]).toEqual([true, false]);
});

test("what a file answers after the end of its attempt is not sent", async () => {
  using s = await sending();
  await waitFor(() => s.connection.waitingBytes > limits.writeBufferBytesMax);
  s.spooled.closeReading();
  const answer = Promise.withResolvers<Buffer>();
  const reading = { isOver: false, next: () => answer.promise };
  Object.assign(s.spooled, { read: () => reading });
  let parts = 0;
  const again = new RequestSender(s.client as unknown as AttemptClient, s.connection as unknown as UpstreamConnection, {
    onBodySent: () => (parts += 1),
  });
  s.connection.waitingBytes = 0;
  if (s.client.request !== undefined) again.start(s.client.request.headers);
  const sent = s.body();
  reading.isOver = true;
  answer.resolve(Buffer.from("late"));
  await new Promise((resolve) => setImmediate(resolve));
  expect([s.body().equals(sent), parts]).toEqual([true, 0]);
});

test("a file that does not have all that has arrived is not sent", async () => {
  using s = await sending();
  s.client.bodyBytes += 1;
  const again = new RequestSender(s.client as unknown as AttemptClient, s.connection as unknown as UpstreamConnection, {
    onBodySent: () => undefined,
  });
  expect(() => s.client.request && again.start(s.client.request.headers)).toThrow("bytes of a body are in its file");
});
