/**
 * Authentication of requests. An `Authenticator` maps a request's credentials to a principal; `authenticate` refuses a
 * request without one and gives it to the handlers as `c.var.principal`. What a principal may do is not decided here:
 * only this file and the book of tokens compare secrets, and only principals leave them.
 *
 * `authenticate` guards every route that is registered after it, and every call that does not exist: a client without
 * credentials cannot find out which calls there are.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { HonoRequest, MiddlewareHandler } from "hono";
import { bearer } from "../bearer.ts";
import type { Party } from "../channel/transcript.ts";
import type { TokenRole } from "../token.ts";
import type { ShownCertificate } from "../tls/identity.ts";
import { ApiRefusal } from "./refusal.ts";

/** A process or an operator that has the cluster secret; it may do everything. */
export interface ClusterPrincipal {
  readonly kind: "cluster";
  /** Who says so over the channel (channel.ts); undefined: the secret was sent as a bearer. */
  readonly caller?: Party;
}
/** The holder of a token; its role says what it may do (gateway/admin/route-roles.ts). */
export interface TokenPrincipal {
  readonly kind: "token";
  readonly id: string;
  readonly name: string;
  readonly role: TokenRole;
}
export type Principal = ClusterPrincipal | TokenPrincipal;

/** The Hono environment of handlers behind `authenticate`. */
export interface Authenticated {
  readonly Variables: {
    readonly principal: Principal;
    /** Undefined: the connection is not TLS. */
    readonly certificate?: ShownCertificate;
  };
}

/** Returns undefined if the credentials are missing or wrong. No request makes it throw. */
export type Authenticator = (request: HonoRequest) => Principal | undefined | Promise<Principal | undefined>;

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/**
 * Accepts the cluster secret, or each of those that are valid now. Compares digests in constant time, so the time that
 * a wrong secret takes reveals neither the length nor a prefix of the right one.
 */
export function clusterSecret(secret: string | (() => readonly string[])): Authenticator {
  const valid = typeof secret === "string" ? () => [secret] : secret;
  return function checkSecret(request) {
    const presented = digest(request.header("authorization") ?? "");
    const matches = valid().map((each) => timingSafeEqual(presented, digest(bearer(each))));
    return matches.includes(true) ? { kind: "cluster" } : undefined;
  };
}

/** What an operator is told while `cluster.accept_bearer` is set. */
export const bearerAccepted =
  "cluster.accept_bearer is set: who reads the network learns the secret from processes of an older version; remove it when all are upgraded";

/** Accepts what `authenticator` accepts, for the calls that `admits` names. */
export const onlyFor = (
  admits: (method: string, path: string) => boolean,
  authenticator: Authenticator,
): Authenticator =>
  function checkCall(request) {
    return admits(request.method, request.path) ? authenticator(request) : undefined;
  };

/** Accepts tokens. `find` gets what stands behind `Bearer `, which may be anything. */
export function tokenHolders(find: (token: string) => TokenPrincipal | undefined): Authenticator {
  return function checkToken(request) {
    const presented = request.header("authorization") ?? "";
    return presented.startsWith(bearer("")) ? find(presented.slice(bearer("").length)) : undefined;
  };
}

/** Accepts what one of them accepts, asked in this order. */
export function firstOf(...authenticators: readonly Authenticator[]): Authenticator {
  return async function checkEach(request) {
    for (const authenticator of authenticators) {
      const principal = await authenticator(request);
      if (principal !== undefined) return principal;
    }
    return undefined;
  };
}

/** Answers 401 if neither the channel has found a principal, nor `authenticator` does. */
export function authenticate(authenticator: Authenticator): MiddlewareHandler<Authenticated> {
  return async function checkCredentials(c, next) {
    if ((c.get("principal") as Principal | undefined) !== undefined) return next();
    const principal = await authenticator(c.req);
    if (principal === undefined) {
      throw new ApiRefusal("unauthorized", {
        found: "not authenticated",
        advice:
          "use the channel (docs/CONTROL-API.md), or where it is accepted `Authorization: Bearer <cluster secret>`, or to a gateway a token that is valid; the secret must be the same on all gateways and hosts of the cluster",
      });
    }
    c.set("principal", principal);
    await next();
  };
}
