import { expect, test } from "bun:test";
import { readProxyHeader } from "../../../src/http/server/proxy-protocol.ts";
import { HttpServer } from "../../../src/http/server/server.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { RawClient } from "../../support/http/raw-client.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");
const signature = "\r\n\r\n\0\r\nQUIT\n";
const v2 = (command: number, family: number, payload: string): string =>
  `${signature}${String.fromCharCode(command, family, payload.length >> 8, payload.length & 255)}${payload}`;
const tcp4 = "\xcb\x00\x71\x07\x0a\x00\x00\x01\x1f\x90\x01\xbb";
const tcp6 = `\x20\x01\x0d\xb8${"\0".repeat(11)}\x01${"\0".repeat(16)}\x1f\x90\x01\xbb`;

const good: [string, string, { address: string; port: number } | undefined][] = [
  ["version 1, TCP4", "PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\n", { address: "203.0.113.7", port: 8080 }],
  ["version 1, TCP6", "PROXY TCP6 2001:db8::1 ::1 8080 443\r\n", { address: "2001:db8::1", port: 8080 }],
  ["version 1, unknown", "PROXY UNKNOWN\r\n", undefined],
  ["version 1, unknown with addresses", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", undefined],
  ["version 2, TCP4", v2(0x21, 0x11, tcp4), { address: "203.0.113.7", port: 8080 }],
  ["version 2, TCP4 with an extension", v2(0x21, 0x11, `${tcp4}\x04\0\x01x`), { address: "203.0.113.7", port: 8080 }],
  ["version 2, TCP6", v2(0x21, 0x21, tcp6), { address: "2001:db8::1", port: 8080 }],
  ["version 2, the balancer's own connection", v2(0x20, 0x11, tcp4), undefined],
  ["version 2, unspecified", v2(0x21, 0x00, ""), undefined],
];

test.each(good)("%s is read, wherever it is cut", (_name, text, source) => {
  expect(readProxyHeader(bytes(`${text}GET /`))).toEqual({ source, end: text.length });
  for (let cut = 0; cut < text.length; cut++) expect(readProxyHeader(bytes(text.slice(0, cut)))).toBeUndefined();
});

const wrong: [string, string][] = [
  ["a request", "GET / HTTP/1.1\r\n"],
  ["another word", "PROXI TCP4 1.1.1.1 1.1.1.1 1 1\r\n"],
  ["an address of the other family", "PROXY TCP4 ::1 ::1 1 1\r\n"],
  ["an address that is none", "PROXY TCP4 1.1.1 1.1.1.1 1 1\r\n"],
  ["a port that is too large", "PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n"],
  ["a port with a leading zero", "PROXY TCP4 1.1.1.1 1.1.1.1 01 1\r\n"],
  ["two spaces", "PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n"],
  ["something after the ports", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1 x\r\n"],
  ["a missing port", "PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n"],
  ["a bare LF", "PROXY TCP4 1.1.1.1 1.1.1.1 1 1\n"],
  ["a line that is too long", `PROXY UNKNOWN ${"x".repeat(100)}\r\n`],
  ["a line without an end", `PROXY UNKNOWN ${"x".repeat(100)}`],
  ["version 3", v2(0x31, 0x11, tcp4)],
  ["an unknown command", v2(0x22, 0x11, tcp4)],
  ["addresses that are too short", v2(0x21, 0x11, "1234")],
  ["addresses of TCP6 that are too short", v2(0x21, 0x21, tcp4)],
  ["a payload that is too large", v2(0x21, 0x11, "x".repeat(3000))],
];

test.each(wrong)("%s is refused", (_name, text) => {
  expect(() => readProxyHeader(bytes(text))).toThrow();
});

test("the balancer's header names the client for every request of the connection", async () => {
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    proxyProtocolFrom: ["127.0.0.0/8"],
    onExchange: (exchange) =>
      exchange.respond({ status: 200, body: `${exchange.remoteAddress} ${exchange.remotePort}` }),
  });
  const client = await RawClient.connect(server.port);
  client.send("PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until((r) => r.endsWith("203.0.113.7 8080"));
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until((r) => r.split("203.0.113.7 8080").length === 3);
  const forger = await RawClient.connect(server.port);
  forger.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await forger.untilEnd()).toContain("proxy_header_malformed");
  client.destroy();
  forger.destroy();
  await server.close({ drainMs: 0 });
});

test("from an address that is no balancer the header is refused", async () => {
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    proxyProtocolFrom: ["192.0.2.1"],
    onExchange: (exchange) => exchange.respond({ status: 200 }),
  });
  const client = await RawClient.connect(server.port);
  client.send("PROXY TCP4 203.0.113.7 10.0.0.1 8080 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(await client.untilEnd()).toStartWith("HTTP/1.1 400 ");
  client.destroy();
  await server.close({ drainMs: 0 });
});
