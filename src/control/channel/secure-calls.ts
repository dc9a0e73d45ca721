/** What the channel needs of mutual TLS (tls/cluster-tls.ts) to make a call. */
import type { PeerCertificate } from "node:tls";
import type { Party } from "./transcript.ts";

export const tlsVersionMin = "TLSv1.3" as const;

/** Options of `node:tls` and `node:https` for a connection to one party. PEM. */
export interface TlsCallOptions {
  readonly ca: string[];
  readonly cert: string;
  readonly key: string;
  readonly minVersion: typeof tlsVersionMin;
  readonly ALPNProtocols: string[];
  checkServerIdentity(name: string, certificate: PeerCertificate): Error | undefined;
}

export interface SecureCalls {
  /** The certificate has expired: no server would take a call. */
  readonly isExpired: boolean;
  callOptions(to: Party): TlsCallOptions;
}
