/**
 * Attack: a person who may look orders a failover; a program that scrapes metrics adds a host; a token of the highest
 * role speaks as a gateway.
 *
 * Rule: each route of the admin listener has its least role in one table (src/gateway/admin/route-roles.ts). Here every
 * method and path meets every role, in process; `expected` repeats the table, so that no change of it goes unseen.
 */
import { expect, test } from "bun:test";
import gatewayApi from "../../docs/openapi/gateway.json";
import { Keyring } from "../../src/control/channel/keyring.ts";
import { ChannelServer } from "../../src/control/channel/server.ts";
import { firstOf, clusterSecret, tokenHolders } from "../../src/control/server/authentication.ts";
import { requiredRoles, suffices, type TokenRole, tokenRoles } from "../../src/control/token.ts";
import { type AdminTarget, createAdminApp } from "../../src/gateway/admin/admin.ts";
import { Audit } from "../../src/gateway/admin/audit.ts";
import { assertEveryRouteHasRole, routeRules } from "../../src/gateway/admin/route-roles.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const secret = "s".repeat(32);
const viewer = [
  "GET /metrics",
  "GET /v1/cluster",
  "GET /v1/config",
  "GET /v1/dry-run/:service",
  "GET /v1/drills",
  "GET /v1/gateways",
  "GET /v1/hosts",
  "GET /v1/restore-points/:service",
  "GET /v1/samples/:service",
  "GET /v1/sight",
  "POST /v1/databases/list",
  "POST /v1/sql",
  "POST /v2/pipeline",
  "POST /v3/pipeline",
];
const operator = [
  "POST /v1/logs",
  "POST /v1/switchover",
  "POST /v1/failover",
  "POST /v1/drills",
  "POST /v1/drills/plan",
  "POST /v1/drills/cancel",
  "POST /v1/pause",
  "POST /v1/maintenance",
  "POST /v1/resume",
  "POST /v1/checkpoint",
  "POST /v1/rehearse",
  "POST /v1/notify/test",
  "POST /v1/suspects/clear",
  "PATCH /v1/hosts/:service/:host",
  "POST /v1/hosts/:service/:host/drain",
];
const admin = [
  "POST /v1/hosts",
  "POST /v1/rewind",
  "DELETE /v1/hosts/:service/:host",
  "DELETE /v1/gateways/:id",
  "POST /v1/databases/exclude",
  "POST /v1/databases/include",
  "GET /v1/tokens",
  "POST /v1/tokens",
  "DELETE /v1/tokens/:token",
];
const expected = { viewer, operator, admin, secret: ["POST /v1/peer/sync"] } as const;

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
/** Whatever a call that is let through touches is a defect here: it is answered 500, or 400 before that. */
const target = {
  authenticator: firstOf(
    clusterSecret(secret),
    tokenHolders((token) => {
      const role = tokenRoles.find((each) => token === `token-of-${each}`);
      return role === undefined ? undefined : { kind: "token", id: "1", name: `a-${role}`, role };
    }),
  ),
  channel: new ChannelServer(new Keyring([secret]), { role: "gateway", id: "g" }, systemClock),
  audit: new Audit({ gateway: "g", clock: systemClock, log: silent, store: { write: () => undefined } }),
  clock: systemClock,
  log: silent,
  secretDoubt: { kind: "none" },
} as unknown as AdminTarget;
const app = createAdminApp(target);

const call = (method: string, path: string, authorization: string): Response | Promise<Response> =>
  app.request(`http://g${path}`, { method, headers: { authorization } });
const filled = (path: string): string => path.replaceAll(/:\w+/g, "x").replaceAll(/\{\w+\}/g, "x");
const credentials: readonly (readonly [TokenRole | "secret", string])[] = [
  ...tokenRoles.map((role) => [role, `Bearer token-of-${role}`] as const),
  ["secret", `Bearer ${secret}`],
];

test("every method and path lets through the roles that suffice, refuses the others, and names the role that it needs", async () => {
  let refused = 0;
  for (const [required, names] of Object.entries(expected) as [keyof typeof expected, readonly string[]][])
    for (const name of names)
      for (const [role, authorization] of credentials) {
        const [method = "", path = ""] = name.split(" ");
        const answer = await call(method, filled(path), authorization);
        const isLetThrough = role === "secret" || (required !== "secret" && suffices(role, required));
        expect([name, role, answer.status === 403]).toEqual([name, role, !isLetThrough]);
        expect([name, role, answer.status === 401 || answer.status === 404]).toEqual([name, role, false]);
        if (isLetThrough) continue;
        refused++;
        const body = (await answer.json()) as Record<string, string>;
        expect(body).toMatchObject({ code: "forbidden", error: `the token "a-${role}" has the role ${role}` });
        expect(body["accepted"]).toContain(required === "secret" ? "the cluster secret" : required);
      }
  expect(refused).toBe(operator.length + admin.length * 2 + 3);
});

test("what is no route is none for every role, with every method", async () => {
  const paths = [
    ...Object.keys(gatewayApi.paths).map(filled),
    "/v1/peer/sync",
    "/v1/nothing",
    "//v1/cluster",
    "/V1/sql",
  ];
  const routes = new Set(Object.keys(routeRules).map((name) => filled(name)));
  for (const path of paths)
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
      if (routes.has(`${method} ${path}`)) continue;
      for (const [role, authorization] of credentials)
        expect([method, path, role, (await call(method, path, authorization)).status]).toEqual([
          method,
          path,
          role,
          404,
        ]);
    }
});

test("HEAD is what GET is", async () => {
  expect((await call("HEAD", "/v1/tokens", "Bearer token-of-operator")).status).toBe(403);
  expect((await call("HEAD", "/v1/tokens", "")).status).toBe(401);
});

test("no route is without a role, and the table has no others", () => {
  const inTable = Object.entries(routeRules).filter(([, { role }]) => role !== "open");
  for (const role of requiredRoles)
    expect(
      inTable
        .filter(([, rule]) => rule.role === role)
        .map(([name]) => name)
        .toSorted(),
    ).toEqual([...expected[role]].toSorted());
  const one = { method: "POST", path: "/v1/anything" };
  expect(() => assertEveryRouteHasRole([...app.routes, one])).toThrow("POST /v1/anything");
  expect(() => assertEveryRouteHasRole([])).toThrow("GET /metrics");
});

test("a token that only resembles a valid one is none", async () => {
  for (const authorization of [
    "Bearer token-of-admin ",
    "bearer token-of-admin",
    "Bearer  token-of-admin",
    "Bearer token-of-root",
    "token-of-admin",
    `Bearer ${secret}, Bearer token-of-admin`,
  ]) {
    // White space at the ends of a field is no part of it.
    const status = authorization.trim() === authorization ? 401 : 500;
    expect([authorization, (await call("GET", "/v1/tokens", authorization)).status]).toEqual([authorization, status]);
  }
});
