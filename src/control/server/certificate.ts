/**
 * Judges who has made a TLS connection, before anything of its requests is read: its certificate must be of this
 * cluster, and of a role that the call admits. The channel (channel.ts) then compares the caller that a request names
 * with it.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { TLSSocket } from "node:tls";
import { type Party, partyText, type Role } from "../channel/transcript.ts";
import { identitiesOf } from "../tls/cluster-tls.ts";
import { describeIdentities, hasIdentity, hasRole, type ShownCertificate, type TlsIdentity } from "../tls/identity.ts";
import type { Authenticated } from "./authentication.ts";
import { ApiRefusal } from "./refusal.ts";

/** Returns the roles whose processes may make this call. */
export type RolesOfCall = (method: string, path: string) => readonly Role[];

/** `cluster` undefined: this API is not behind TLS. Mount it before what judges other credentials. */
export function requireCertificate(
  cluster: string | undefined,
  rolesOf: RolesOfCall,
): MiddlewareHandler<Authenticated> {
  return async function judgeCertificate(c, next) {
    if (cluster === undefined) return next();
    const socket = socketOf(c);
    const identities = socket === undefined ? [] : identitiesOf(socket);
    const accepted = rolesOf(c.req.method, c.req.path);
    if (!hasRole(identities, cluster, accepted)) throw wrongCertificate(identities, cluster, accepted.join(" or "));
    c.set("certificate", { cluster, identities });
    await next();
  };
}

/**
 * Refuses a caller that the certificate does not have. An operator's name is not in a request: a certificate of an
 * operator is accepted, and one of a gateway, which may do everything that an operator may.
 */
export function requireCaller({ cluster, identities }: ShownCertificate, caller: Party): void {
  const isCaller =
    caller.role === "operator"
      ? hasRole(identities, cluster, ["operator", "gateway"])
      : caller.id !== "*" && hasIdentity(identities, cluster, caller);
  if (!isCaller) throw wrongCertificate(identities, cluster, partyText(caller));
}

const wrongCertificate = (identities: readonly TlsIdentity[], cluster: string, accepted: string): ApiRefusal =>
  new ApiRefusal("unauthorized", {
    found: `not authenticated: the certificate is ${describeIdentities(identities)}`,
    accepted: `for this call, one of ${accepted} in ${cluster}`,
    advice: "issue one with `stead ca issue`, and name it in [cluster.tls]",
  });

function socketOf(c: Context): TLSSocket | undefined {
  const env = c.env as { readonly incoming?: { readonly socket?: TLSSocket } } | undefined;
  const socket = env?.incoming?.socket;
  return socket?.encrypted === true ? socket : undefined;
}
