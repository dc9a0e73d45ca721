/**
 * Every malformed response becomes a 502, its upstream connection is dropped, and the client sees not one of its bytes.
 */
import { describe, expect, test } from "bun:test";
import { proxied } from "../../support/http/proxied.ts";
import { waitFor } from "../../support/http/raw-client.ts";
import { responseCases } from "./response-cases.ts";

test("there are at least 70 cases, no two alike", () => {
  expect(responseCases.length).toBeGreaterThanOrEqual(70);
  expect(new Set(responseCases.map((c) => c.name)).size).toBe(responseCases.length);
});

describe("never passed on", () => {
  for (const wrong of responseCases) {
    test(wrong.name, async () => {
      await using proxy = await proxied({
        onData: (c) => c.received.endsWith("\r\n\r\n") && void c.socket.write(wrong.bytes, "latin1"),
      });
      const client = await proxy.client();
      client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      const received = await client.until((r) => r.endsWith("upstream-invalid"));
      expect(received).toStartWith("HTTP/1.1 502 ");
      expect(received.match(/HTTP\/1\.1 \d/g)?.length).toBe(1);
      expect(proxy.outcomes[0]?.kind).toBe("upstream-invalid");
      await waitFor(() => proxy.backend.last.ended || proxy.backend.last.closed);
      expect(proxy.upstream.stats.connections).toBe(0);
    });
  }
});

test("a response that turns invalid after it has started is cut, and nothing invalid is passed on", async () => {
  await using proxy = await proxied({
    onData: (c) => void c.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until((r) => r.endsWith("hello\r\n"));
  proxy.backend.last.socket.write("zz\r\n");
  const received = await client.untilEnd();
  expect(received).toEndWith("hello\r\n");
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", released: true });
});

test("bytes after a complete response are never the next response", async () => {
  await using proxy = await proxied({
    onData: (c) => {
      c.received = "";
      c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    },
  });
  const client = await proxy.client();
  for (let i = 1; i <= 3; i++) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until((r) => r.split("\r\n\r\nok").length === i + 1);
  }
  expect(client.received).not.toContain("evil");
  expect(proxy.backend.connections.length).toBe(3);
});

test("bytes on an unused connection make it unusable", async () => {
  await using proxy = await proxied({
    onData: (c) => {
      c.received = "";
      c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    },
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until((r) => r.endsWith("ok"));
  proxy.backend.last.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
  await waitFor(() => proxy.upstream.stats.connections === 0);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until((r) => r.split("\r\n\r\nok").length === 3);
  expect(client.received).not.toContain("evil");
});
