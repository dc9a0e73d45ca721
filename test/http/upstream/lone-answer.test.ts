/** Requests whose client goes while the upstream has them, and whose answers are recorded all the same. */
import { Buffer } from "node:buffer";
import { describe, expect, test } from "bun:test";
import { CancellationGroup } from "../../../src/runtime/cancellation-group.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import type { AnswerRecorder, ForwardOptions, ForwardOutcome } from "../../../src/http/upstream/exchange.ts";
import type { HeaderList } from "../../../src/http/message/headers.ts";
import type { HttpLimits } from "../../../src/http/limits.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { type Proxied, proxied, type ProxiedOptions } from "../../support/http/proxied.ts";
import type { BackendConnection } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

class Recorded implements AnswerRecorder {
  readonly #parts: Buffer[] = [];
  isComplete = false;
  trailers: number | undefined;

  get text(): string {
    return Buffer.concat(this.#parts).toString("latin1");
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    this.#parts.push(Buffer.from(bytes.subarray(from, to)));
  }

  onComplete(trailers: HeaderList | undefined): void {
    this.isComplete = true;
    this.trailers = trailers?.count;
  }
}

interface Lone {
  readonly proxy: Proxied;
  readonly recorded: Recorded[];
  /** The backend's connection with the request, whose client is gone. */
  readonly connection: BackendConnection;
  [Symbol.asyncDispose](): Promise<void>;
}

const post = "POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

/** A request is sent, `before` is answered, and its client goes. */
async function lone(
  before = "",
  forward: ForwardOptions = {},
  limits: Partial<HttpLimits> = {},
  request = post,
  server: ProxiedOptions["server"] = {},
  upstreamClock: Clock = systemClock,
): Promise<Lone> {
  const recorded: Recorded[] = [];
  const proxy = await proxied({
    limits,
    server,
    upstreamClock,
    onData: () => undefined,
    forward: {
      outlivesClient: () => true,
      recordAnswer: () => {
        const recorder = new Recorded();
        recorded.push(recorder);
        return recorder;
      },
      ...forward,
    },
  });
  const client = await proxy.client();
  client.send(request);
  await waitFor(() => proxy.backend.connections[0]?.received.endsWith("hi") ?? false);
  const connection = proxy.backend.last;
  if (before !== "") {
    connection.socket.write(before);
    await client.until((received) => received.length > 0);
  }
  client.socket.resetAndDestroy();
  await waitFor(() => proxy.server.connections === 0);
  return { proxy, recorded, connection, [Symbol.asyncDispose]: async () => proxy[Symbol.asyncDispose]() };
}

const gone: ForwardOutcome[] = [{ kind: "client-gone" }];

describe("an answer whose client is gone", () => {
  test("is recorded whole, and the connection serves the next request", async () => {
    await using it = await lone();
    expect(it.proxy.outcomes).toEqual([]);
    it.connection.socket.write("HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\ndo");
    it.connection.socket.write("ne");
    await waitFor(() => it.proxy.outcomes.length === 1);
    expect(it.proxy.outcomes).toEqual(gone);
    expect(it.recorded.map(({ text, isComplete }) => [text, isComplete])).toEqual([["done", true]]);
    const next = await it.proxy.client();
    next.send(post);
    await waitFor(() => it.connection.received.split("POST /order").length === 3);
    it.connection.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect(await next.until((received) => received.includes("\r\n\r\n"))).toStartWith("HTTP/1.1 200 OK");
    expect(it.proxy.backend.connections.length).toBe(1);
  });

  test("is read on from where it was cut, with its trailers, while the gate holds what had arrived", async () => {
    const gate = Promise.withResolvers<void>();
    let isFirst = true;
    await using it = await lone("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", {
      gate: () => {
        if (!isFirst) return gate.promise;
        isFirst = false;
        return undefined;
      },
    });
    it.connection.socket.write("2\r\ncd\r\n0\r\nX-Sum: 1\r\n\r\n");
    await waitFor(() => it.proxy.outcomes.length === 1);
    expect(it.recorded.map(({ text, trailers }) => [text, trailers])).toEqual([["abcd", 1]]);
    gate.resolve();
    expect(it.proxy.outcomes).toEqual(gone);
  });

  test("that the end of its connection ends is recorded, unless the upstream itself is ending", async () => {
    for (const isUpstreamEnding of [false, true]) {
      await using it = await lone("", { isUpstreamEnding: () => isUpstreamEnding });
      it.connection.socket.end("HTTP/1.1 200 OK\r\n\r\nall of it");
      await waitFor(() => it.proxy.outcomes.length === 1);
      expect(it.recorded.map(({ isComplete }) => isComplete)).toEqual([!isUpstreamEnding]);
    }
  });

  test.each([
    ["that breaks off", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true],
    ["that is no HTTP", "SMTP ready\r\n\r\n", false],
    [
      "that changes the protocol",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
      false,
    ],
    ["without an end", "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", false],
  ])("%s is not recorded, and its connection ends", async (_, bytes, isEnded) => {
    await using it = await lone();
    if (isEnded) it.connection.socket.end(bytes);
    else it.connection.socket.write(bytes);
    await waitFor(() => it.proxy.outcomes.length === 1);
    expect(it.recorded.filter(({ isComplete }) => isComplete)).toEqual([]);
    await waitFor(() => it.proxy.upstream.stats.connections === 0);
  });

  test("that does not come meets the limit for the first byte", async () => {
    await using it = await lone("", {}, { firstByteMs: 30 });
    await waitFor(() => it.proxy.outcomes.length === 1);
    expect(it.recorded).toEqual([]);
  });

  test("that takes longer than allowed in all is given up, although its bytes keep arriving", async () => {
    const clock = new ManualClock();
    await using it = await lone("", {}, { responseMs: 1_000 }, post, {}, clock);
    clock.advance(900);
    it.connection.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    await waitFor(() => it.recorded[0]?.text === "half");
    expect(it.proxy.outcomes).toEqual([]);
    clock.advance(400);
    await waitFor(() => it.proxy.outcomes.length === 1);
    expect(it.recorded.map(({ isComplete }) => isComplete)).toEqual([false]);
    await waitFor(() => it.proxy.upstream.stats.connections === 0);
  });

  test("is cut with all others", async () => {
    const cancellation = new CancellationGroup();
    await using it = await lone("", { cancellation });
    cancellation.abort("the term is over");
    await waitFor(() => it.proxy.outcomes.length === 1);
    expect(it.proxy.outcomes).toEqual(gone);
    await waitFor(() => it.proxy.upstream.stats.connections === 0);
  });
});

test("an error of the recorder is told as one of the handler", async () => {
  const errors: unknown[] = [];
  const server = { onHandlerError: (error: unknown) => void errors.push(error) };
  const recordAnswer = (): never => {
    throw new Error("the recorder is broken");
  };
  await using it = await lone("", { recordAnswer }, {}, post, server);
  it.connection.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  await waitFor(() => errors.length === 1);
  expect(String(errors[0])).toContain("the recorder is broken");
  await waitFor(() => it.proxy.upstream.stats.connections === 0);
});

test("a request that has not been sent whole ends with its client", async () => {
  await using it = await lone("", {}, {}, "POST /order HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhi");
  await waitFor(() => it.proxy.outcomes.length === 1);
  await waitFor(() => it.connection.ended || it.connection.closed);
});

test("an event stream ends with its client", async () => {
  await using it = await lone("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
  await waitFor(() => it.proxy.outcomes.length === 1);
  expect(it.recorded.map(({ isComplete }) => isComplete)).toEqual([false]);
});
