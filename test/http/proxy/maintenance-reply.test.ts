import { expect, test } from "bun:test";
import { maintenanceReply, retryAfterSeconds } from "../../../src/http/proxy/maintenance-reply.ts";

const reply = (accept: string | undefined, html?: string) =>
  maintenanceReply(
    { html, retryAfterMs: 30_000 },
    { code: "maintenance", message: "the service is in maintenance", accept },
  );
const typeOf = (accept: string | undefined) => new Map(reply(accept).headers).get("Content-Type");

test("browsers and clients without a preference get HTML, programs that ask for JSON get JSON", () => {
  const html = "text/html; charset=utf-8";
  expect(typeOf("text/html,application/xhtml+xml,application/json;q=0.9")).toBe(html);
  for (const accept of [undefined, "*/*", "image/png"]) expect(typeOf(accept)).toBe(html);
  expect(typeOf("Application/JSON")).toBe("application/json");
  expect(reply("application/json").body).toBe('{"error":"maintenance","message":"the service is in maintenance"}');
});

test("the configured page is given as it is, and the built-in one needs nothing else", () => {
  expect(reply("*/*", "<p>äöü</p>").body).toBe("<p>äöü</p>");
  expect(String(reply("*/*").body)).not.toMatch(/src=|href=|url\(/);
});

test("Retry-After follows the announced end, between a second and an hour", () => {
  const page = { retryAfterMs: 30_000 };
  expect([undefined, 1, -5, 90_500, 10 * 3_600_000].map((leftMs) => retryAfterSeconds(page, leftMs))).toEqual([
    30, 1, 1, 91, 3_600,
  ]);
});
