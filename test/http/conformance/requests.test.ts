/**
 * Every malformed request is refused with its status and reason, its connection ends, and the upstream never sees it
 * whole.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { proxied, type Proxied } from "../../support/http/proxied.ts";
import { RawClient, waitFor } from "../../support/http/raw-client.ts";
import { requestCases } from "./request-cases.ts";

let proxy: Proxied;
let executed = 0;

beforeAll(async () => {
  proxy = await proxied({
    limits: { bodyBytesMax: 1_000_000 },
    // A complete request would be answered, whatever its body is.
    onData: (c) => {
      const end = c.received.indexOf("\r\n\r\n");
      if (end === -1 || (/transfer-encoding/i.test(c.received.slice(0, end)) && !c.received.endsWith("0\r\n\r\n")))
        return;
      executed++;
      c.received = "";
      c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    },
  });
});
afterAll(() => proxy[Symbol.asyncDispose]());

test("there are at least 150 cases, no two alike", () => {
  expect(requestCases.length).toBeGreaterThanOrEqual(150);
  expect(new Set(requestCases.map((c) => c.name)).size).toBe(requestCases.length);
  expect(new Set(requestCases.map((c) => c.bytes)).size).toBe(requestCases.length);
});

describe("refused", () => {
  for (const wrong of requestCases) {
    test(wrong.name, async () => {
      executed = 0;
      const client = await RawClient.connect(proxy.server.port);
      // What follows must never be taken for another request.
      client.send(`${wrong.bytes}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`);
      const received = await client.untilEnd();
      client.destroy();
      const [head, body] = received.split("\r\n\r\n", 2);
      expect(head).toStartWith(`HTTP/1.1 ${wrong.status} `);
      expect(head).toContain("Connection: close");
      expect(body).toStartWith(`${wrong.status} ${wrong.code}: `);
      expect(received.match(/HTTP\/1\.1 \d\d\d /g)?.length).toBe(1);
      expect(executed).toBe(0);
      await waitFor(() => proxy.server.activeExchanges === 0);
    });
  }
});

test("a refusal is JSON for a client that accepts JSON, and never repeats what was sent", async () => {
  const client = await RawClient.connect(proxy.server.port);
  client.send(
    "POST /secret-target HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nTransfer-Encoding: chunked\r\n\r\nsecret-size\r\n",
  );
  const received = await client.untilEnd();
  client.destroy();
  expect(JSON.parse(received.split("\r\n\r\n")[1] ?? "")).toMatchObject({ error: "chunk_size_malformed" });
  expect(received).not.toContain("secret");
});

test("a head that cannot be read is refused in JSON as well for a client that accepts it", async () => {
  for (const [bytes, error] of [
    ["GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html, application/json\r\nBad Name: 1\r\n\r\n", "space_before_colon"],
    [
      "GET / HTTP/1.1\r\nHost: a\r\naccept:application/json\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "two_framings",
    ],
  ] as const) {
    const client = await RawClient.connect(proxy.server.port);
    client.send(bytes);
    const [head, body] = (await client.untilEnd()).split("\r\n\r\n", 2);
    client.destroy();
    expect(head).toContain("Content-Type: application/json");
    expect(JSON.parse(body ?? "")).toMatchObject({ error });
  }
});
