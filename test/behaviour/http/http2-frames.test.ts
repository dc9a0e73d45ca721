/**
 * Frames that break RFC 9113, by a client that sends exact bytes: cases of h2spec (its sections are in the names),
 * which is not to be had here. Each ends in the error that the standard names, or in the end of the connection, and no
 * request of such a connection reaches the upstream as something else.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { proxyAppServer } from "../../../src/gateway/route/proxy-app.ts";
import { cancelledBurstMax } from "../../../src/http/embed/app-server.ts";
import { certificateA } from "../../support/http/certificates.ts";
import { endHeaders, endStream, FrameClient, pseudo } from "../../support/http/frame-client.ts";
import { malformed, ofConnection, request, setting, uint32, whole } from "../../support/http/http2-cases.ts";
import { proxied, type Proxied } from "../../support/http/proxied.ts";
import { waitFor } from "../../support/http/raw-client.ts";

let proxy: Proxied;
let client: FrameClient;
const seen: string[] = [];

beforeAll(async () => {
  proxy = await proxied({
    server: { tls: certificateA, app: (server) => proxyAppServer(server, ["h2"]) },
    onData: (connection) => {
      if (!connection.received.includes("\r\n\r\n")) return;
      seen.push(connection.received);
      connection.received = "";
      connection.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    },
  });
});
afterAll(() => proxy[Symbol.asyncDispose]());
afterEach(() => {
  client.destroy();
  seen.length = 0;
});

describe("an error of the connection", () => {
  for (const { name, send, codes } of ofConnection) {
    test(name, async () => {
      client = await FrameClient.connect(proxy.server.port, !name.startsWith("3.5"));
      send(client);
      await client.until(() => client.closed || client.codeOf("goaway") !== undefined);
      expect([undefined, ...codes]).toContain(client.codeOf("goaway"));
      await client.until(() => client.closed);
      await waitFor(() => proxy.server.connections === 0);
    });
  }
});

describe("a frame on an idle stream (5.1), which is an error of the connection, and by Bun is not", () => {
  for (const type of ["data", "windowUpdate"] as const) {
    test(type, async () => {
      client = await FrameClient.connect(proxy.server.port);
      client.send(type, endStream, 1, uint32(1));
      client.get(3);
      await client.until(() => client.closed || client.of("data", 3).length > 0);
      expect(seen.filter((each) => !each.startsWith("GET / HTTP/1.1\r\n"))).toEqual([]);
    });
  }
});

describe("a request that is malformed", () => {
  for (const [name, fields] of malformed) {
    test(name, async () => {
      client = await FrameClient.connect(proxy.server.port);
      client.send("headers", whole, 1, request(fields));
      const isRefused = () =>
        client.closed ||
        client.codeOf("rstStream", 1) !== undefined ||
        client.codeOf("goaway") !== undefined ||
        client.of("headers", 1).length > 0;
      await client.until(isRefused);
      await waitFor(() => proxy.server.activeExchanges === 0);
      // A part of a request whose body does not come ends unseen.
      expect(seen.filter((each) => !/content-length: 5/i.test(each))).toEqual([]);
      const [answer] = client.of("headers", 1);
      // `:status` 400 is the field 12 of the static table; without it: a literal.
      if (answer !== undefined) expect(answer.payload[0] === 0x8c || answer.payload.includes("400")).toBe(true);
    });
  }
});

describe("what is right", () => {
  test("unknown frames, unknown settings and a PING are taken; the PING is answered", async () => {
    client = await FrameClient.connect(proxy.server.port);
    client.send(0x16, 0xff, 0, "anything");
    client.send("settings", 0, 0, setting(0xff, 1));
    client.send("ping", 0, 0, "12345678");
    await client.until(() =>
      client.of("ping").some(({ flags, payload }) => flags === 1 && payload.toString() === "12345678"),
    );
    client.get(1);
    await client.until(() => client.of("data", 1).length > 0);
  });

  test("a header block in several CONTINUATIONs, with padding and a priority, is one request", async () => {
    client = await FrameClient.connect(proxy.server.port);
    const bytes = request([...pseudo("GET", "/parts"), ["x-own", "1"]]);
    const padded = Buffer.concat([Buffer.from([3, 0, 0, 0, 0, 15]), bytes.subarray(0, 5), Buffer.alloc(3)]);
    client.send("headers", endStream | 0x8 | 0x20, 1, padded);
    client.send("continuation", 0, 1, bytes.subarray(5, 9));
    client.send("continuation", endHeaders, 1, bytes.subarray(9));
    await client.until(() => client.of("data", 1).length > 0);
    expect(seen[0]).toStartWith("GET /parts HTTP/1.1\r\n");
  });

  test("an answer waits for its client's window, and continues when it opens", async () => {
    client = await FrameClient.connect(proxy.server.port);
    client.send("settings", 0, 0, setting(4, 1));
    client.get(1);
    await client.until(() => client.of("data", 1).length > 0);
    expect(client.of("data", 1).map(({ payload }) => payload.toString())).toEqual(["o"]);
    client.send("windowUpdate", 0, 1, uint32(10));
    await client.until(
      () =>
        client
          .of("data", 1)
          .map(({ payload }) => payload.toString())
          .join("") === "ok",
    );
  });
});

test("a client that opens streams only to cancel them loses its connection", async () => {
  client = await FrameClient.connect(proxy.server.port);
  for (let nth = 0; nth < cancelledBurstMax * 3 && !client.closed; nth++) {
    client.get(1 + 2 * nth);
    client.send("rstStream", 0, 1 + 2 * nth, uint32(8));
  }
  await client.until(() => client.closed);
  await waitFor(() => proxy.server.activeExchanges === 0 && proxy.server.connections === 0);
});
