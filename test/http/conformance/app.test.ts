/**
 * The malformed requests of requests.test.ts over the Hono app (`gateway.app = true`), where node:http reads them: each
 * is refused, or is in a list of differences here, which docs/DATA-PLANE.md tells of. Whatever node:http makes of a
 * request, the upstream gets one that is well-formed, since it is written again.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { proxyAppServer } from "../../../src/gateway/route/proxy-app.ts";
import { httpLimits } from "../../../src/http/limits.ts";
import { readRequest } from "../../../src/http/message/read-request.ts";
import { proxied, type Proxied } from "../../support/http/proxied.ts";
import { RawClient, waitFor } from "../../support/http/raw-client.ts";
import { requestCases } from "./request-cases.ts";

/** node:http reads them as if they were right. */
const readAsRight: readonly string[] = [
  "two spaces before the target",
  "two spaces before the version",
  "two empty lines before the request",
  "a bare LF before the request",
  "a tab after Content-Length",
  "an expectation with a parameter",
  "a chunk extension with an empty value",
  "a chunk extension that is too long",
  "too many trailers",
];
/** Trailers of requests are read and dropped. */
const dropped = /^the trailer (?!Content-Length|Transfer-Encoding)/;
/** No answer: the connection ends. */
const ended: readonly string[] = ["CONNECT", "CONNECT with a path"];
/** The size of a chunk is known only by its bytes. */
const waiting: readonly string[] = [
  "a chunk size that overflows 53 bits",
  "chunks beyond the limit",
  "chunks beyond the limit together",
];

let proxy: Proxied;
const executed: string[] = [];

beforeAll(async () => {
  proxy = await proxied({
    limits: { bodyBytesMax: 1_000_000 },
    server: { app: (server) => proxyAppServer(server, ["http/1.1"]) },
    onData: (c) => {
      const end = c.received.indexOf("\r\n\r\n");
      const length = Number(/content-length: *(\d+)/i.exec(c.received)?.[1] ?? 0);
      const isChunked = /transfer-encoding/i.test(c.received.slice(0, end));
      if (end === -1 || (isChunked ? !c.received.endsWith("0\r\n\r\n") : c.received.length < end + 4 + length)) return;
      executed.push(c.received);
      c.received = "";
      c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    },
  });
});
afterAll(() => proxy[Symbol.asyncDispose]());
beforeEach(() => void executed.splice(0));

const statusOf = (received: string): number => Number(/^HTTP\/1\.1 (\d{3}) /.exec(received)?.[1] ?? 0);
const bodyOf = (request: string): string => request.slice(request.indexOf("\r\n\r\n") + 4);

/** What the app's own server says where it finds a request broken before the app sees it. */
const refusals = [400, 413, 414, 417, 431, 501, 505];

describe("refused, or of a known difference", () => {
  for (const wrong of requestCases) {
    test(wrong.name, async () => {
      const client = await RawClient.connect(proxy.server.port);
      client.send(wrong.bytes);
      try {
        if (ended.includes(wrong.name)) {
          expect(await client.untilEnd()).toBe("");
        } else if (waiting.includes(wrong.name)) {
          client.end();
          await client.untilEnd();
          expect(client.received === "" || refusals.includes(statusOf(client.received))).toBe(true);
        } else if (readAsRight.includes(wrong.name) || dropped.test(wrong.name)) {
          if (wrong.bytes.includes("Content-Length: ")) client.send("hello");
          await client.until((received) => received.includes("HTTP/1.1 200 "));
          const [request = ""] = executed;
          const bytes = Buffer.from(request, "latin1");
          expect(readRequest(bytes, 0, bytes.length, httpLimits({}))?.request.method).toBe(request.split(" ")[0] ?? "");
          if (dropped.test(wrong.name)) expect(bodyOf(request)).toEndWith("0\r\n\r\n");
          return;
        } else {
          // A part that is never completed ends with its client.
          if (!wrong.bytes.includes("\r\n\r\n") || wrong.inBody === true) client.end();
          await client.until((received) => received !== "" || client.ended || client.closed);
          if (client.received !== "") expect(refusals).toContain(statusOf(client.received));
        }
        expect(executed).toEqual([]);
      } finally {
        client.destroy();
      }
      await waitFor(() => proxy.server.activeExchanges === 0);
    });
  }
});

test("each difference is one of the cases", () => {
  const names = new Set(requestCases.map(({ name }) => name));
  expect([...readAsRight, ...ended, ...waiting].filter((name) => !names.has(name))).toEqual([]);
});
