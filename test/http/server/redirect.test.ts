import { expect, test } from "bun:test";
import { redirectToHttps } from "../../../src/http/server/redirect.ts";
import { HeaderList } from "../../../src/http/message/headers.ts";
import type { ParsedRequest } from "../../../src/http/message/read-request.ts";

const locationOf = (host: string | undefined, target: string, port = 443): string | undefined => {
  const headers = HeaderList.from(host === undefined ? [] : [["Host", host]]);
  const { status, headers: fields } = redirectToHttps({ request: { headers, target } as ParsedRequest }, port);
  return status === 308 ? fields?.find(([name]) => name === "Location")?.[1] : String(status);
};

test("the same host, path and query by https, at the port that has it", () => {
  expect(locationOf("a.example", "/a//b?c=%20")).toBe("https://a.example/a//b?c=%20");
  expect(locationOf("a.example:8000", "/", 8443)).toBe("https://a.example:8443/");
  expect(locationOf("[::1]:80", "/")).toBe("https://[::1]/");
  expect(locationOf("a.example", "http://a.example/x?y")).toBe("https://a.example/x?y");
  expect(locationOf("a.example", "http://a.example?y")).toBe("https://a.example/?y");
  expect(locationOf("a.example", "*")).toBe("https://a.example/");
});

test("without a host there is no place to send a client to", () => {
  expect(locationOf(undefined, "/")).toBe("400");
  expect(locationOf("", "/")).toBe("400");
});
