import { expect, test } from "bun:test";
import { isHostAddress, parseBaseUrl } from "../../src/core/base-url.ts";

/** What the parser of the runtime repairs, decodes or accepts, and no part of the program may call. */
const refused = [
  "",
  "10.0.0.1:7701",
  "https://a.example",
  "file:///etc/passwd",
  "file://a/etc/passwd",
  "unix:/run/x",
  "ws://a:1",
  "ftp://a:1",
  "http://a.example/x",
  "http://a.example?x",
  "http://a.example#x",
  "http://u:p@a.example",
  "http://u@a.example:1",
  "http://@a.example:1",
  "http://",
  "http:a.example",
  "http:\\\\a.example",
  "http:///a.example",
  "http://a:0",
  "http://a:65536",
  "http://a:b",
  "http://0.0.0.0:80",
  "http://[::]:80",
  "http://a.exam\nple:1",
  " http://a.example:1",
  "http://a.example:1 ",
  "http://a\texample:1",
  "http://%61.example:1",
  "http://\u00e4.example:1",
  `http://${"a".repeat(300)}:1`,
];

test("an address to be reached at is http with host and port and nothing else", () => {
  expect(parseBaseUrl("http://10.0.0.1:7701")).toBe("http://10.0.0.1:7701");
  expect(parseBaseUrl("http://a.example/")).toBe("http://a.example:80");
  expect(parseBaseUrl("http://[fd00::1]:7701")).toBe("http://[fd00::1]:7701");
  expect(parseBaseUrl("HTTP://Name_1:7701")).toBe("http://name_1:7701");
  expect(refused.filter((text) => parseBaseUrl(text) !== undefined)).toEqual([]);
});

test("a host's address is that, or one of an ordinary server with the target of its check", () => {
  for (const text of ["http://10.0.0.1:7701", "plain:http://10.0.0.1:80/", "plain:http://a.example:80/health?deep=0"])
    expect([text, isHostAddress(text)]).toEqual([text, true]);
  for (const text of [...refused, ...refused.filter((each) => !each.endsWith("/x")).map((each) => `plain:${each}/`)])
    expect([text, isHostAddress(text)]).toEqual([text, false]);
});
