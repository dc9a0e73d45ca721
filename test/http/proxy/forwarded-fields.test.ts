import { expect, test } from "bun:test";
import type { Exchange } from "../../../src/http/upstream/exchange.ts";
import { forwardedFields } from "../../../src/http/proxy/forwarded-fields.ts";
import { HeaderList } from "../../../src/http/message/headers.ts";
import { TrustedProxies } from "../../../src/http/server/trusted-proxies.ts";
import { proxied } from "../../support/http/proxied.ts";

const from = (remoteAddress: string, secure = false): Exchange =>
  ({ remoteAddress, isSecure: secure, client: {} }) as Exchange;
const edited = (
  edit: ReturnType<typeof forwardedFields>,
  headers: [string, string][],
  exchange: Exchange,
): [string, string][] => [...edit(HeaderList.from(headers), exchange)];

test("the client's address, protocol and host are added at the end", () => {
  expect(
    edited(
      forwardedFields(),
      [
        ["Host", "a:80"],
        ["X", "y"],
      ],
      from("203.0.113.9"),
    ),
  ).toEqual([
    ["Host", "a:80"],
    ["X", "y"],
    ["X-Forwarded-For", "203.0.113.9"],
    ["X-Forwarded-Proto", "http"],
    ["X-Forwarded-Host", "a:80"],
    ["Forwarded", 'for=203.0.113.9;proto=http;host="a:80"'],
  ]);
});

test("fields in which a client describes itself are dropped", () => {
  const fields = edited(
    forwardedFields({ trustedProxies: ["10.0.0.0/8"] }),
    [
      ["Host", "a"],
      ["x-forwarded-for", "1.1.1.1"],
      ["X-Forwarded-Proto", "https"],
      ["X-FORWARDED-HOST", "evil"],
      ["Forwarded", "for=1.1.1.1"],
      ["X-Real-IP", "1.1.1.1"],
    ],
    from("203.0.113.9"),
  );
  expect(JSON.stringify(fields)).not.toContain("1.1.1.1");
  expect(JSON.stringify(fields)).not.toContain("evil");
  expect(fields).toContainEqual(["X-Forwarded-Proto", "http"]);
});

test("fields of a trusted proxy are kept and extended", () => {
  const fields = edited(
    forwardedFields({ trustedProxies: ["10.0.0.0/8", "fd00::/8"] }),
    [
      ["Host", "inner"],
      ["X-Forwarded-For", "198.51.100.1"],
      ["X-Forwarded-For", "198.51.100.2"],
      ["X-Forwarded-Proto", "https"],
      ["X-Forwarded-Host", "shop.example"],
      ["Forwarded", "for=198.51.100.1"],
    ],
    from("::ffff:10.1.2.3"),
  );
  expect(fields).toEqual([
    ["Host", "inner"],
    ["X-Forwarded-For", "198.51.100.1, 198.51.100.2, 10.1.2.3"],
    ["X-Forwarded-Proto", "https"],
    ["X-Forwarded-Host", "shop.example"],
    ["Forwarded", 'for=198.51.100.1, for=10.1.2.3;proto=http;host="inner"'],
  ]);
});

test("an IPv6 client is quoted in Forwarded, and TLS shows as https", () => {
  expect(edited(forwardedFields(), [["Host", "a"]], from("2001:db8::7", true)).slice(1)).toEqual([
    ["X-Forwarded-For", "2001:db8::7"],
    ["X-Forwarded-Proto", "https"],
    ["X-Forwarded-Host", "a"],
    ["Forwarded", 'for="[2001:db8::7]";proto=https;host="a"'],
  ]);
});

test("addresses and ranges are matched, and anything else is refused by name", () => {
  const trusted = new TrustedProxies(["10.0.0.0/8", "192.0.2.7", "fd00::/8", "::1"]);
  for (const address of ["10.255.0.1", "192.0.2.7", "::ffff:192.0.2.7", "fd12::1", "::1"])
    expect(trusted.has(address)).toBe(true);
  for (const address of ["11.0.0.1", "192.0.2.8", "fe80::1", "::2", "", "x"]) expect(trusted.has(address)).toBe(false);
  for (const wrong of [
    "10.0.0.0/33",
    "10.0.0",
    "a.example",
    "fd00::/129",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8/9",
    "",
  ]) {
    expect(() => new TrustedProxies([wrong])).toThrow(`trusted proxy "${wrong}"`);
  }
});

test("the upstream gets the fields over a real connection", async () => {
  await using proxy = await proxied({
    forward: { editRequestFields: forwardedFields() },
    onData: (c) => void c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
  await client.until((r) => r.endsWith("\r\n\r\n"));
  expect(proxy.backend.last.received).toBe(
    'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\nForwarded: for=127.0.0.1;proto=http;host="a"\r\n\r\n',
  );
});
