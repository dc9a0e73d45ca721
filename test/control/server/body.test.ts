import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { createApi } from "../../../src/control/server/api.ts";
import { jsonBody, limitBody, orderBytesMax } from "../../../src/control/server/body.ts";
import { systemLog } from "../../../src/runtime/log.ts";

const schema = v.strictObject({
  name: v.pipe(
    v.string(),
    v.check((text) => text !== "bad", "a good name"),
  ),
  count: v.optional(v.number(), 7),
});

function appWith(bytesMax?: number) {
  const seen: unknown[] = [];
  const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log: systemLog("test") });
  app.use(limitBody(bytesMax));
  app.post("/named", jsonBody(schema), (c) => {
    seen.push(c.req.valid("json"));
    return c.json({});
  });
  app.post("/optional", jsonBody(v.strictObject({ name: v.optional(v.string()) })), (c) => c.json(c.req.valid("json")));
  app.post("/unread", (c) => {
    seen.push("unread");
    return c.json({});
  });
  return { app, seen };
}

const post = (app: ReturnType<typeof appWith>["app"], path: string, body: string) =>
  app.request(path, { method: "POST", body, headers: { "content-length": String(Buffer.byteLength(body)) } });

/** Not announced: sent in pieces. */
const postInPieces = (app: ReturnType<typeof appWith>["app"], path: string, body: string) => {
  const pieces = body.match(/.{1,10}/gs) ?? [];
  const stream = new ReadableStream({
    pull: (controller) => {
      const piece = pieces.shift();
      if (piece === undefined) controller.close();
      else controller.enqueue(new TextEncoder().encode(piece));
    },
  });
  return app.request(path, { method: "POST", body: stream, duplex: "half" });
};

describe("a body", () => {
  test("that fits is what the handler gets, with defaults, whatever its content type says", async () => {
    const { app, seen } = appWith();
    expect((await post(app, "/named", '{"name":"a"}')).status).toBe(200);
    expect(seen).toEqual([{ name: "a", count: 7 }]);
  });

  test("that is empty stands for an object without fields", async () => {
    const { app } = appWith();
    expect([await (await post(app, "/optional", "")).json(), (await post(app, "/named", "")).status]).toEqual([
      {},
      400,
    ]);
  });

  test("that does not fit is refused with the field and what is wrong there, and the handler is not called", async () => {
    const { app, seen } = appWith();
    const errors: unknown[] = [];
    for (const body of [
      "{",
      "5",
      "{}",
      '{"name":5}',
      '{"name":"bad"}',
      '{"name":"a","more":1}',
      '{"name":5,"count":"x"}',
    ]) {
      const answer = await post(app, "/named", body);
      const { error, ...rest } = (await answer.json()) as { error: string };
      expect([answer.status, rest]).toEqual([
        400,
        { code: "malformed", advice: "see docs/openapi for the body of this call" },
      ]);
      errors.push(error);
    }
    expect(errors).toEqual([
      "the body is not JSON",
      "body: Invalid type: Expected Object but received 5",
      'name: Invalid key: Expected "name" but received undefined',
      "name: Invalid type: Expected string but received 5",
      'name: found "bad", accepted: a good name',
      'more: Invalid key: Expected never but received "more"',
      'name: Invalid type: Expected string but received 5; count: Invalid type: Expected number but received "x"',
    ]);
    expect(seen).toEqual([]);
  });

  test("with many faults is refused with the first of them, and no answer grows with what was sent", async () => {
    const { app } = appWith();
    const many = await post(
      app,
      "/named",
      JSON.stringify({ name: "x", ...Object.fromEntries("abcdef".split("").map((key) => [key, 1])) }),
    );
    expect(((await many.json()) as { error: string }).error).toMatch(/^a: .*$/);
    const long = await post(app, "/named", JSON.stringify({ name: "a", count: "x".repeat(100_000) }));
    expect((await long.text()).length).toBeLessThan(1_000);
  });

  test.each([
    ["announced", post],
    ["in pieces", postInPieces],
  ])(
    "%s is received up to the limit, and refused with one byte more, also by a call that does not read it",
    async (_, send) => {
      const { app, seen } = appWith(100);
      for (const path of ["/named", "/unread"]) {
        const atLimit = `${" ".repeat(88)}{"name":"a"}`;
        expect(atLimit).toHaveLength(100);
        expect([path, (await send(app, path, atLimit)).status]).toEqual([path, 200]);
        seen.length = 0;
        const answer = await send(app, path, ` ${atLimit}`);
        expect([path, answer.status, await answer.json()]).toEqual([
          path,
          413,
          { error: "the body is too large", code: "too-large", advice: "at most 100 bytes are accepted" },
        ]);
        expect(seen).toEqual([]);
      }
    },
  );

  test("has at most 256 KiB by default", async () => {
    const { app } = appWith();
    const body = (bytes: number) => `{"name":"a"}${" ".repeat(bytes - 12)}`;
    expect([
      (await post(app, "/named", body(orderBytesMax))).status,
      (await post(app, "/named", body(orderBytesMax + 1))).status,
    ]).toEqual([200, 413]);
  });
});
