import { expect, test } from "bun:test";
import { createApi } from "../../../src/control/server/api.ts";
import { ApiRefusal } from "../../../src/control/server/refusal.ts";
import type { LogFields, Logger } from "../../../src/runtime/log.ts";
import { OperatorError } from "../../../src/runtime/operator-error.ts";

const lines: (readonly [string, LogFields | undefined])[] = [];
const log: Logger = {
  info: () => undefined,
  warn: () => undefined,
  error: (what, fields) => void lines.push([what, fields]),
};

function appThatThrows(error: Error) {
  lines.length = 0;
  const app = createApi({ part: "gateway", manual: "docs/GATEWAY-API.md", log });
  app.get("/call", () => {
    throw error;
  });
  return app;
}

test("a refusal is answered with the status of its code and what is accepted, and logs nothing", async () => {
  const refusal = new ApiRefusal("service-not-named", { found: "none is named", accepted: "a, b", advice: "name one" });
  const answer = await appThatThrows(refusal).request("/call");
  expect([answer.status, await answer.json(), answer.headers.get("www-authenticate")]).toEqual([
    400,
    { error: "none is named", code: "service-not-named", accepted: "a, b", advice: "name one" },
    null,
  ]);
  expect(lines).toEqual([]);
});

test("an error that a person can mend is answered with its own words, and is no defect", async () => {
  const away = new OperatorError("vault", { found: "the vault is away", advice: "mount it" });
  const answer = await appThatThrows(away).request("/call");
  expect([answer.status, await answer.json()]).toEqual([
    500,
    { error: "the vault is away", code: "failed", advice: "mount it" },
  ]);
  expect(lines).toEqual([]);
});

test("a defect is answered without its stack, which is in the log with the call", async () => {
  const answer = await appThatThrows(new TypeError("x is not a function")).request("/call");
  expect([answer.status, await answer.json()]).toEqual([
    500,
    { error: "x is not a function", code: "defect", advice: "this is a defect of the gateway: please report it" },
  ]);
  expect(lines).toEqual([
    [
      "a call ended with a defect",
      { call: "GET /call", detail: expect.stringContaining("api.test.ts") as unknown as string },
    ],
  ]);
});

test("a call that does not exist is refused in the same shape, with the document that lists the calls", async () => {
  const answer = await appThatThrows(new Error("never")).request("/v9/nothing");
  expect([answer.status, await answer.json()]).toEqual([
    404,
    { error: "no such call", code: "no-such-call", advice: "see docs/GATEWAY-API.md for the calls" },
  ]);
});
