import { describe, expect, test } from "bun:test";
import { bearer } from "../../../src/control/bearer.ts";
import { createApi } from "../../../src/control/server/api.ts";
import { authenticate, type Authenticator, clusterSecret } from "../../../src/control/server/authentication.ts";
import { systemLog } from "../../../src/runtime/log.ts";

const secret = "s".repeat(32);

function appWith(authenticator: Authenticator) {
  const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log: systemLog("test") });
  app.get("/open", (c) => c.text("open"));
  app.use(authenticate(authenticator));
  app.get("/who", (c) => c.json(c.var.principal));
  return app;
}

const ask = (app: ReturnType<typeof appWith>, path: string, authorization?: string) =>
  app.request(path, { headers: authorization === undefined ? {} : { authorization } });

describe("the cluster secret", () => {
  const app = appWith(clusterSecret(secret));

  test("makes the principal that handlers see, when it is sent as clients send it", async () => {
    const answer = await ask(app, "/who", bearer(secret));
    expect([answer.status, await answer.json()]).toEqual([200, { kind: "cluster" }]);
  });

  test("is the only text that is accepted: no prefix, no other scheme, no other case, no longer one", async () => {
    for (const authorization of [
      undefined,
      "",
      secret,
      "Bearer",
      "Bearer ",
      bearer(secret.slice(1)),
      bearer(`${secret}x`),
      bearer(secret.toUpperCase()),
      `bearer ${secret}`,
      `Bearer  ${secret}`,
      `Basic ${secret}`,
      `${bearer(secret)}, ${bearer(secret)}`,
      bearer("\u00ff".repeat(32)),
      bearer("x".repeat(10_000)),
    ])
      expect([authorization, (await ask(app, "/who", authorization)).status]).toEqual([authorization, 401]);
  });

  test("is asked for in the shape of all refusals and by a challenge, and neither says what was wrong with the secret that was sent", async () => {
    const [none, wrong] = [await ask(app, "/who"), await ask(app, "/who", bearer(`${secret}x`))];
    expect(none.headers.get("www-authenticate")).toBe('Bearer realm="stead"');
    const body: unknown = await none.json();
    expect(body).toEqual({
      error: "not authenticated",
      code: "unauthorized",
      advice: expect.stringContaining("Authorization: Bearer") as unknown,
    });
    expect(await wrong.json()).toEqual(body);
  });

  test("is asked for before anything else: a call that does not exist looks like one that does", async () => {
    expect((await ask(app, "/nothing")).status).toBe(401);
    expect((await ask(app, "/nothing", bearer(secret))).status).toBe(404);
    expect((await ask(app, "/open")).status).toBe(200);
  });
});

test("any authenticator can take its place, also an asynchronous one, and sees the whole request", async () => {
  const app = appWith(async (request) => {
    await Promise.resolve();
    return request.header("x-proof") === `${request.method} ${request.path}` ? { kind: "cluster" } : undefined;
  });
  expect((await app.request("/who", { headers: { "x-proof": "GET /who" } })).status).toBe(200);
  expect((await app.request("/who", { headers: { "x-proof": "GET /open" } })).status).toBe(401);
});
