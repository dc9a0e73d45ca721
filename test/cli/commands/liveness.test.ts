/** `stead liveness` against an admin listener that answers, and against none. */
import { expect, test } from "bun:test";
import { runStead } from "../../support/cli/run-cli.ts";

test("it asks without credentials, and ends with 0 for an answer and with 6 for none", async () => {
  const asked: (string | null)[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => {
      asked.push(new URL(request.url).pathname, request.headers.get("authorization"));
      return Response.json({ ok: true });
    },
  });
  const url = `http://127.0.0.1:${server.port}`;
  const options = { env: { STEAD_SECRET: "0123456789abcdef0123456789abcdef" } };
  expect(await runStead(["liveness", "--gateway", url], options)).toMatchObject({ code: 0, out: "" });
  expect(asked).toEqual(["/liveness", "Bearer none"]);
  await server.stop(true);
  expect((await runStead(["liveness", "--gateway", url], options)).code).toBe(6);
});
