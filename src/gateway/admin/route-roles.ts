/**
 * Who may call what: each route of the admin listener with the least role that it requires, in one table.
 *
 * `authorize` stands behind the authentication and before every route that needs credentials. It asks the router which
 * route a request is for, so that the table and the router cannot disagree about a path. A route without an entry is
 * refused to all, and `assertEveryRouteHasRole` ends the start of such a gateway.
 *
 * How one would try to get around it: HEAD, which the router answers as GET; an encoded or doubled slash, another case:
 * the router decides about all of them, and what is no route is answered 404 for every role.
 *
 * Attacked in test/security/ROLES-routes.test.ts: "what is no route is none for every role", "HEAD is what GET is".
 */
import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { Authenticated, Principal } from "../../control/server/authentication.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import { type RequiredRole, rolesFrom, suffices } from "../../control/token.ts";

interface RouteRule {
  /** `open`: no credentials are needed. */
  readonly role: RequiredRole | "open";
  /** It changes something, or has others do work: each call is recorded in the audit. */
  readonly acts: boolean;
}

const open: RouteRule = { role: "open", acts: false };
const reads: RouteRule = { role: "viewer", acts: false };
const operates: RouteRule = { role: "operator", acts: true };
const administers: RouteRule = { role: "admin", acts: true };

export const routeRules: Readonly<Record<string, RouteRule>> = {
  "GET /liveness": open,
  "GET /health": open,
  "GET /health/:service": open,
  "GET /v2": open,
  "GET /v3": open,
  "ALL /v3-protobuf": open,
  "ALL /v3-protobuf/*": open,

  "GET /metrics": reads,
  "GET /v1/cluster": reads,
  "GET /v1/config": reads,
  "GET /v1/dry-run/:service": reads,
  "GET /v1/drills": reads,
  "GET /v1/gateways": reads,
  "GET /v1/hosts": reads,
  "GET /v1/restore-points/:service": reads,
  "GET /v1/samples/:service": reads,
  "GET /v1/sight": reads,
  "POST /v1/databases/list": reads,
  "POST /v1/sql": reads,
  "POST /v2/pipeline": reads,
  "POST /v3/pipeline": reads,

  // An application's output may have what its clients sent; following it is no act.
  "POST /v1/logs": { role: "operator", acts: false },
  "POST /v1/switchover": operates,
  "POST /v1/failover": operates,
  // It takes the primary away only if another host is as good, which is less than a forced failover may.
  "POST /v1/drills": operates,
  "POST /v1/drills/plan": operates,
  "POST /v1/drills/cancel": operates,
  "POST /v1/pause": operates,
  "POST /v1/resume": operates,
  "POST /v1/maintenance": operates,
  "POST /v1/notify/test": operates,
  "POST /v1/checkpoint": operates,
  "POST /v1/rehearse": operates,
  "POST /v1/suspects/clear": operates,
  "PATCH /v1/hosts/:service/:host": operates,
  "POST /v1/hosts/:service/:host/drain": operates,

  // A host that is added takes part in the choice of the primary; an excluded database is missing after a failover.
  "POST /v1/hosts": administers,
  "DELETE /v1/hosts/:service/:host": administers,
  "DELETE /v1/gateways/:id": administers,
  // What was acknowledged is undone.
  "POST /v1/rewind": administers,
  "POST /v1/databases/exclude": administers,
  "POST /v1/databases/include": administers,
  "GET /v1/tokens": { role: "admin", acts: false },
  "POST /v1/tokens": administers,
  "DELETE /v1/tokens/:token": administers,

  // Its sender is believed as a gateway.
  "POST /v1/peer/sync": { role: "secret", acts: false },
};

interface Route {
  readonly method: string;
  readonly path: string;
}

/** Middleware is registered for all methods and paths. */
const isMiddleware = ({ method, path }: Route): boolean => method === "ALL" && path === "/*";
const nameOf = ({ method, path }: Route): string => `${method} ${path}`;

/** Returns the rule of the request's route; undefined: there is no such route. Throws for a route without a rule. */
export function ruleOf(c: Context): RouteRule | undefined {
  const route = matchedRoutes(c).find((each) => !isMiddleware(each));
  if (route === undefined) return undefined;
  const rule = routeRules[nameOf(route)];
  if (rule === undefined) throw new Error(`${nameOf(route)} has no role`);
  return rule;
}

/** Refuses principals whose role does not suffice for the route. */
export function authorize(): MiddlewareHandler<Authenticated> {
  return async function checkRole(c, next) {
    const rule = ruleOf(c);
    if (rule !== undefined && rule.role !== "open") assertSuffices(c.var.principal, rule.role);
    await next();
  };
}

function assertSuffices(principal: Principal, required: RequiredRole): void {
  if (principal.kind === "cluster" || suffices(principal.role, required)) return;
  throw new ApiRefusal("forbidden", {
    found: `the token "${principal.name}" has the role ${principal.role}`,
    accepted: rolesFrom(required),
    advice:
      required === "secret"
        ? "this call is for processes of the cluster"
        : `use a token of that role (\`stead token add NAME --role ${required}\`)`,
  });
}

/** Throws for a route that has no rule, and for a rule without a route. */
export function assertEveryRouteHasRole(routes: readonly Route[]): void {
  const names = new Set(routes.filter((route) => !isMiddleware(route)).map(nameOf));
  const missing = [...names].filter((name) => routeRules[name] === undefined);
  const left = Object.keys(routeRules).filter((name) => !names.has(name));
  if (missing.length > 0 || left.length > 0)
    throw new Error(`routes without a role: ${missing.join(", ")}; roles without a route: ${left.join(", ")}`);
}
