/**
 * Who a process is by its certificate: URIs as subject alternative names, `stead://CLUSTER/ROLE/ID`. A host's id is
 * `SERVICE/ID`, an operator's is any name. A certificate may have several: one file can configure a gateway and a host.
 */
import { isMeant, type Party, partyText, type Role, roles } from "../channel/transcript.ts";

export interface TlsIdentity {
  readonly cluster: string;
  readonly party: Party;
}

/** What the certificate of a connection says, and the cluster of this process. */
export interface ShownCertificate {
  readonly cluster: string;
  readonly identities: readonly TlsIdentity[];
}

export const identityUri = ({ cluster, party: { role, id } }: TlsIdentity): string =>
  `stead://${encodeURIComponent(cluster)}/${role}/${id}`;

const uriPattern = /^URI:stead:\/\/([^/]+)\/([^/]+)\/([\w.%/-]+)$/;

/** Returns the identities in `subjectAltName` as Node prints it: `URI:stead://…, DNS:…`. Others are ignored. */
export function parseIdentities(subjectAltName: string | undefined): readonly TlsIdentity[] {
  return (subjectAltName ?? "").split(", ").flatMap((name) => {
    const [, cluster = "", roleText, id = ""] = uriPattern.exec(name) ?? [];
    const role = roles.find((each) => each === roleText);
    return role === undefined ? [] : [{ cluster: decoded(cluster), party: { role, id } }];
  });
}

/** True if the certificate is of `party` in `cluster`. */
export const hasIdentity = (identities: readonly TlsIdentity[], cluster: string, party: Party): boolean =>
  identities.some((each) => each.cluster === cluster && isMeant(party, each.party));

/** True if the certificate is of any of these roles in `cluster`. */
export const hasRole = (identities: readonly TlsIdentity[], cluster: string, accepted: readonly Role[]): boolean =>
  accepted.some((role) => hasIdentity(identities, cluster, { role, id: "*" }));

export const describeIdentities = (identities: readonly TlsIdentity[]): string =>
  identities.length === 0
    ? "of no process of a cluster"
    : `of ${identities.map(({ cluster, party }) => `${partyText(party)} in ${cluster}`).join(" and ")}`;

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
