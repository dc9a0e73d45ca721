/**
 * Authentication of requests. An `Authenticator` maps a request's credentials to a principal; `authenticate` refuses a
 * request without one and gives it to the handlers as `c.var.principal`. What a principal may do is not decided here:
 * only this file compares secrets, and only principals leave it.
 *
 * `authenticate` guards every route that is registered after it, and every call that does not exist: a client without
 * credentials cannot find out which calls there are.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { HonoRequest, MiddlewareHandler } from "hono";
import { bearer } from "../bearer.ts";
import { ApiRefusal } from "./refusal.ts";

/** A process or an operator that has the cluster secret; it may do everything. */
export interface ClusterPrincipal {
  readonly kind: "cluster";
}
export type Principal = ClusterPrincipal;

/** The Hono environment of handlers behind `authenticate`. */
export interface Authenticated {
  readonly Variables: { readonly principal: Principal };
}

/** Returns undefined if the credentials are missing or wrong. No request makes it throw. */
export type Authenticator = (request: HonoRequest) => Principal | undefined | Promise<Principal | undefined>;

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/**
 * Accepts the cluster secret. Compares digests in constant time, so the time that a wrong secret takes reveals neither
 * the length nor a prefix of the right one.
 */
export function clusterSecret(secret: string): Authenticator {
  const expected = digest(bearer(secret));
  return function checkSecret(request) {
    const presented = digest(request.header("authorization") ?? "");
    return timingSafeEqual(presented, expected) ? { kind: "cluster" } : undefined;
  };
}

/** Answers 401 if `authenticator` finds no principal. */
export function authenticate(authenticator: Authenticator): MiddlewareHandler<Authenticated> {
  return async function checkCredentials(c, next) {
    const principal = await authenticator(c.req);
    if (principal === undefined) {
      throw new ApiRefusal("unauthorized", {
        found: "not authenticated",
        advice:
          "send `Authorization: Bearer <cluster secret>`; the secret must be the same on all gateways and hosts of the cluster",
      });
    }
    c.set("principal", principal);
    await next();
  };
}
