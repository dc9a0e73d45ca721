import { expect, test } from "bun:test";
import { collide, formatAddress, isWildcard, parseListen, urlOf } from "../../src/config/address.ts";

test("an address to listen on is taken apart, IPv6 with and without brackets where they belong", () => {
  expect(parseListen("127.0.0.1:7700")).toEqual({ host: "127.0.0.1", port: 7700 });
  expect(parseListen("[::1]:0")).toEqual({ host: "::1", port: 0 });
  expect(parseListen("localhost:80")).toEqual({ host: "localhost", port: 80 });
  expect(formatAddress({ host: "::1", port: 80 })).toBe("[::1]:80");
  expect(urlOf({ host: "::1", port: 80 })).toBe("http://[::1]:80");
});

test("malformed addresses are refused", () => {
  for (const text of [
    "",
    "80",
    ":80",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "256.0.0.1:80",
    "::1:80",
    "[::1]",
    "[nope]:80",
    "example.org:80",
    " 127.0.0.1:80",
    "1.2.3:80",
  ]) {
    expect(parseListen(text)).toBeUndefined();
  }
});

test("a wildcard address collides with every address of the same port", () => {
  expect(isWildcard({ host: "::", port: 1 })).toBe(true);
  expect(isWildcard({ host: "0:0:0:0:0:0:0:0", port: 1 })).toBe(true);
  expect(isWildcard({ host: "127.0.0.1", port: 1 })).toBe(false);
  expect(collide({ host: "0.0.0.0", port: 80 }, { host: "127.0.0.1", port: 80 })).toBe(true);
  expect(collide({ host: "127.0.0.1", port: 80 }, { host: "127.0.0.2", port: 80 })).toBe(false);
  expect(collide({ host: "127.0.0.1", port: 0 }, { host: "127.0.0.1", port: 0 })).toBe(false);
});
