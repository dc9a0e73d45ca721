/**
 * Mutual TLS between the processes of a cluster: certificates of the cluster's authority on both sides of every
 * connection, with cluster, role and id in them (identity.ts). Below the channel of codes, which stays: TLS adds
 * confidentiality, and keeps members of the cluster from speaking as others.
 *
 * With it a process neither makes nor takes a connection in clear text: addresses stay `http://host:port`, and say
 * where, not how. Servers demand a certificate; clients compare cluster, role and id with those of the server that they
 * mean before they send a byte. Host names and addresses are not compared: an identity may move.
 *
 * The files are looked at every second, as those of the client listener are, and replaced as a whole. Connections that
 * are open continue with what they were made with.
 */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { filesState } from "../../runtime/files-state.ts";
import type { Logger } from "../../runtime/log.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { type SecureCalls, type TlsCallOptions, tlsVersionMin } from "../channel/secure-calls.ts";
import { type Party, partyText } from "../channel/transcript.ts";
import { describeIdentities, hasIdentity, parseIdentities, type TlsIdentity } from "./identity.ts";

const lookMs = 1_000;
const dayMs = 86_400_000;
/** An operator is told of the end of a certificate this long before it. */
const warnDays = 30;

/** Absolute paths of PEM files. */
export interface TlsPaths {
  /** One authority, or several while it is replaced. */
  readonly caPath: string;
  readonly certPath: string;
  readonly keyPath: string;
}

/** PEM. */
export interface TlsFiles {
  /** Authorities: more than one while the cluster's is replaced. */
  readonly ca: readonly string[];
  readonly cert: string;
  readonly key: string;
}

export class ClusterTlsError extends OperatorError {
  constructor(found: string) {
    super("configuration", {
      found: `the certificates of [cluster.tls] cannot be used: ${found}`,
      accepted:
        "PEM files: `ca` with one or more authorities, `cert` with this process's certificate, `key` with its key",
      advice: "make them with `stead ca create` and `stead ca issue`, or correct the files",
    });
  }
}

/** A server that is not the one that was meant. */
export class WrongIdentityError extends Error {
  readonly code = "STEAD_WRONG_IDENTITY";
}

export interface ClusterTlsOptions {
  readonly config: TlsPaths;
  readonly cluster: string;
  /** The parties that the certificate must be of: what this process is. */
  readonly self: readonly Party[];
  readonly clock: Clock;
  readonly log: Logger;
}

export class ClusterTls implements SecureCalls {
  readonly cluster: string;
  readonly #options: ClusterTlsOptions;
  readonly #users = new Set<(files: TlsFiles) => void>();
  #files: TlsFiles;
  #seen: string;
  #timer: Timer | undefined;
  #expiresAtMs: number;
  /** Why the present files are not in use; undefined if they are. */
  #defect: string | undefined;

  /** Throws `ClusterTlsError`. */
  constructor(options: ClusterTlsOptions) {
    this.#options = options;
    this.cluster = options.cluster;
    this.#seen = stateOf(options.config);
    this.#files = readFiles(options);
    this.#expiresAtMs = firstExpiry(this.#files);
  }

  /** Looks at the files from now on, until `close`. */
  watch(): this {
    this.#lookLater();
    return this;
  }

  get files(): TlsFiles {
    return this.#files;
  }

  /** The first end of the certificate and its authorities, wall clock. */
  get expiresAtMs(): number {
    return this.#expiresAtMs;
  }

  get isExpired(): boolean {
    return this.#expiresAtMs <= this.#options.clock.wallTime();
  }

  /** What operators are told. */
  get warnings(): readonly string[] {
    const leftMs = this.#expiresAtMs - this.#options.clock.wallTime();
    const until = new Date(this.#expiresAtMs).toISOString();
    const ends =
      leftMs <= 0
        ? [`the certificate of [cluster.tls], or its authority, has expired at ${until}: no process can be called`]
        : leftMs < warnDays * dayMs
          ? [
              `the certificate of [cluster.tls], or its authority, expires at ${until}: make a new one with \`stead ca issue\` (an authority with \`stead ca create --renew\`)`,
            ]
          : [];
    return [...(this.#defect === undefined ? [] : [this.#defect]), ...ends];
  }

  /** Calls `use` with the files now, and whenever they are replaced. Returns how to end that. */
  use(use: (files: TlsFiles) => void): () => void {
    this.#users.add(use);
    use(this.#files);
    return () => this.#users.delete(use);
  }

  /** Options for a connection to `to`. */
  callOptions(to: Party): TlsCallOptions {
    const { ca, cert, key } = this.#files;
    return {
      ca: [...ca],
      cert,
      key,
      minVersion: tlsVersionMin,
      ALPNProtocols: ["http/1.1"],
      checkServerIdentity: (_name, { subjectaltname }) => this.#judgeServer(to, parseIdentities(subjectaltname)),
    };
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#users.clear();
  }

  /** Looks at the files now. */
  look(): void {
    const now = stateOf(this.#options.config);
    if (now === this.#seen) return;
    try {
      const files = readFiles(this.#options);
      for (const use of this.#users) use(files);
      this.#files = files;
      this.#seen = now;
      this.#defect = undefined;
      this.#expiresAtMs = firstExpiry(files);
      this.#options.log.info("certificates of the cluster reloaded", {
        expires: new Date(this.#expiresAtMs).toISOString(),
      });
    } catch (error) {
      const why = messageOf(error);
      if (this.#defect !== why)
        this.#options.log.error("certificates of the cluster not reloaded, the previous ones stay in use", { why });
      this.#defect = why;
    }
  }

  #lookLater(): void {
    this.#timer = this.#options.clock.setTimer(lookMs, () => {
      this.look();
      if (this.#timer !== undefined) this.#lookLater();
    });
  }

  #judgeServer(to: Party, found: readonly TlsIdentity[]): Error | undefined {
    if (hasIdentity(found, this.cluster, to)) return undefined;
    return new WrongIdentityError(
      `its certificate is ${describeIdentities(found)}, not of ${partyText(to)} in ${this.cluster}`,
    );
  }
}

/** The identities of who has made a connection; the runtime has verified its certificate. */
export const identitiesOf = (socket: TLSSocket): readonly TlsIdentity[] =>
  socket.authorized ? parseIdentities(socket.getPeerCertificate().subjectaltname) : [];

const stateOf = ({ caPath, certPath, keyPath }: TlsPaths): string => filesState([caPath, certPath, keyPath]);

const certificateBlock = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function readFiles({ config, cluster, self }: ClusterTlsOptions): TlsFiles {
  const ca = readText(config.caPath).match(certificateBlock) ?? [];
  if (ca.length === 0) throw new ClusterTlsError(`${config.caPath} has no certificate`);
  const files = { ca, cert: readText(config.certPath), key: readText(config.keyPath) };
  let found: readonly TlsIdentity[];
  try {
    createSecureContext({ ...files, minVersion: tlsVersionMin });
    found = parseIdentities(new X509Certificate(files.cert).subjectAltName);
  } catch (error) {
    throw new ClusterTlsError(`${config.certPath}: ${messageOf(error)}`);
  }
  const missing = self.find((party) => !hasIdentity(found, cluster, party));
  if (missing !== undefined)
    throw new ClusterTlsError(
      `${config.certPath} is ${describeIdentities(found)}, and this process is ${partyText(missing)} in ${cluster}`,
    );
  return files;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ClusterTlsError(`${path}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`);
  }
}

/** An authority that no certificate needs any more may expire: only the last of them counts. */
const firstExpiry = ({ ca, cert }: TlsFiles): number =>
  Math.min(expiryOf(cert), Math.max(...ca.map((authority) => expiryOf(authority))));

const expiryOf = (cert: string): number => Date.parse(new X509Certificate(cert).validTo);
