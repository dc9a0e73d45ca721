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
import { block, endHeaders, endStream, FrameClient, pseudo } from "../../support/http/frame-client.ts";
import { proxied, type Proxied } from "../../support/http/proxied.ts";
import { waitFor } from "../../support/http/raw-client.ts";

const [protocol, , flowControl, , , frameSize] = [1, 2, 3, 4, 5, 6];
const compression = 9;

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

const whole = endStream | endHeaders;
const request = (fields: readonly (readonly [string, string])[]): Buffer => block(fields);
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const setting = (id: number, value: number): Buffer => Buffer.concat([Buffer.from([0, id]), uint32(value)]);

interface Wrong {
  readonly name: string;
  send(to: FrameClient): void;
  /** Codes of the connection's error that are right (5.4.1: its end without a GOAWAY is too). */
  readonly codes: readonly (number | undefined)[];
}

const ofConnection: readonly Wrong[] = [
  {
    name: "3.5: a preface that is none",
    send: (to) => void to.socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    codes: [protocol],
  },
  {
    name: "4.2: a frame beyond SETTINGS_MAX_FRAME_SIZE",
    send: (to) => to.send("headers", whole, 1, Buffer.alloc(20_000)),
    codes: [frameSize],
  },
  {
    name: "4.3: a header block that cannot be read",
    send: (to) => to.send("headers", whole, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
    codes: [compression],
  },
  {
    name: "4.3: another frame within a header block",
    send: (to) => {
      to.send("headers", endStream, 1, request(pseudo("GET", "/")));
      to.send("ping", 0, 0, Buffer.alloc(8));
    },
    codes: [protocol],
  },
  { name: "5.1: RST_STREAM on an idle stream", send: (to) => to.send("rstStream", 0, 1, uint32(8)), codes: [protocol] },
  {
    name: "5.1: CONTINUATION on an idle stream",
    send: (to) => to.send("continuation", endHeaders, 1, request(pseudo("GET", "/"))),
    codes: [protocol],
  },
  { name: "5.1.1: an even stream", send: (to) => to.get(2), codes: [protocol] },
  { name: "6.1: DATA on stream 0", send: (to) => to.send("data", 0, 0, "x"), codes: [protocol] },
  { name: "6.2: HEADERS on stream 0", send: (to) => to.get(0), codes: [protocol] },
  {
    name: "6.2: padding longer than the frame",
    send: (to) => to.send("headers", whole | 8, 1, Buffer.concat([Buffer.from([200]), request(pseudo("GET", "/"))])),
    codes: [protocol, frameSize],
  },
  { name: "6.3: PRIORITY on stream 0", send: (to) => to.send("priority", 0, 0, Buffer.alloc(5)), codes: [protocol] },
  { name: "6.4: RST_STREAM on stream 0", send: (to) => to.send("rstStream", 0, 0, uint32(8)), codes: [protocol] },
  {
    name: "6.4: RST_STREAM of a wrong length",
    send: (to) => {
      to.get(1);
      to.send("rstStream", 0, 1, "abc");
    },
    codes: [frameSize],
  },
  { name: "6.5: SETTINGS on a stream", send: (to) => to.send("settings", 0, 1, setting(3, 1)), codes: [protocol] },
  { name: "6.5: SETTINGS of a wrong length", send: (to) => to.send("settings", 0, 0, "abc"), codes: [frameSize] },
  {
    name: "6.5: an acknowledgement with a payload",
    send: (to) => to.send("settings", 1, 0, setting(3, 1)),
    codes: [frameSize],
  },
  { name: "6.5.2: ENABLE_PUSH of 2", send: (to) => to.send("settings", 0, 0, setting(2, 2)), codes: [protocol] },
  {
    name: "6.5.2: INITIAL_WINDOW_SIZE beyond its bound",
    send: (to) => to.send("settings", 0, 0, setting(4, 2 ** 31)),
    codes: [flowControl],
  },
  {
    name: "6.5.2: MAX_FRAME_SIZE below its bound",
    send: (to) => to.send("settings", 0, 0, setting(5, 100)),
    codes: [protocol],
  },
  {
    name: "6.6: PUSH_PROMISE of a client",
    send: (to) => {
      to.get(1);
      to.send("pushPromise", endHeaders, 1, Buffer.concat([uint32(2), request(pseudo("GET", "/"))]));
    },
    codes: [protocol],
  },
  { name: "6.7: PING on a stream", send: (to) => to.send("ping", 0, 1, Buffer.alloc(8)), codes: [protocol] },
  { name: "6.7: PING of a wrong length", send: (to) => to.send("ping", 0, 0, "abc"), codes: [frameSize] },
  { name: "6.8: GOAWAY on a stream", send: (to) => to.send("goaway", 0, 1, Buffer.alloc(8)), codes: [protocol] },
  {
    name: "6.9: WINDOW_UPDATE of 0 for the connection",
    send: (to) => to.send("windowUpdate", 0, 0, uint32(0)),
    codes: [protocol],
  },
  {
    name: "6.9: WINDOW_UPDATE of a wrong length",
    send: (to) => to.send("windowUpdate", 0, 0, "abc"),
    codes: [frameSize],
  },
  {
    name: "6.9.1: a window beyond its bound",
    send: (to) => {
      to.send("windowUpdate", 0, 0, uint32(2 ** 31 - 1));
      to.send("windowUpdate", 0, 0, uint32(2 ** 31 - 1));
    },
    codes: [flowControl],
  },
];

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

const malformed: readonly (readonly [name: string, fields: readonly (readonly [string, string])[]])[] = [
  ["8.2: a name in upper case", [...pseudo("GET", "/"), ["X-Upper", "1"]]],
  ["8.2.1: a value with a line", [...pseudo("GET", "/"), ["x-own", "1\r\nx-smuggled: 1"]]],
  ["8.2.1: a value with NUL", [...pseudo("GET", "/"), ["x-own", "a\0b"]]],
  ["8.2.1: a name with a colon", [...pseudo("GET", "/"), ["x:own", "1"]]],
  ["8.2.1: a name with a space", [...pseudo("GET", "/"), ["x own", "1"]]],
  ["8.2.2: connection", [...pseudo("GET", "/"), ["connection", "keep-alive"]]],
  ["8.2.2: transfer-encoding", [...pseudo("POST", "/"), ["transfer-encoding", "chunked"]]],
  ["8.2.2: te with gzip", [...pseudo("GET", "/"), ["te", "gzip"]]],
  ["8.3: an unknown pseudo-field", [...pseudo("GET", "/"), [":own", "1"]]],
  ["8.3: a pseudo-field of responses", [...pseudo("GET", "/"), [":status", "200"]]],
  [
    "8.3: a pseudo-field behind another field",
    [
      [":method", "GET"],
      ["x-own", "1"],
      [":scheme", "https"],
      [":authority", "a"],
      [":path", "/"],
    ],
  ],
  ["8.3.1: no method", pseudo("GET", "/").slice(1)],
  ["8.3.1: no path", pseudo("GET", "/").slice(0, 3)],
  ["8.3.1: an empty path", pseudo("GET", "")],
  ["8.3.1: two methods", [[":method", "GET"], ...pseudo("GET", "/")]],
  ["8.3.1: a path with a line", pseudo("GET", "/ HTTP/1.1\r\nHost: b\r\n\r\n")],
  ["8.3.1: a path with a space", pseudo("GET", "/a b")],
  ["8.3.1: a method with a space", pseudo("GET / HTTP/1.1\r\nX: ", "/")],
  [
    "8.3.1: an authority with a line",
    [
      [":method", "GET"],
      [":scheme", "https"],
      [":authority", "a\r\nx: 1"],
      [":path", "/"],
    ],
  ],
  ["8.3.1: a host that contradicts the authority", [...pseudo("GET", "/"), ["host", "b.example"]]],
  ["8.1.1: a content-length that is not the body's", [...pseudo("POST", "/"), ["content-length", "5"]]],
];

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
