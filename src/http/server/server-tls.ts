/**
 * Certificates of a TLS listener: a default one, others by server name (SNI), all replaceable while connections
 * continue.
 *
 * A replacement is checked as a whole before any of it is used: an unreadable certificate changes nothing.
 */
import { createSecureContext, createServer, type SecureContext, type Server } from "node:tls";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { listenWith, nodeSocket, nodeSocketOptions } from "../../runtime/tcp/node-tcp.ts";
import type { Tcp, TcpListener, TcpListenOptions, TcpSocket } from "../../runtime/tcp/tcp.ts";

export interface Certificate {
  /** Chain and private key, PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface TlsCertificates extends Certificate {
  /** Maps a server name, or `*.` and a domain for one label before it, to its certificate. */
  readonly names?: Readonly<Record<string, Certificate>>;
}

export class CertificateError extends OperatorError {
  constructor(which: string, why: string) {
    super("configuration", {
      found: `the certificate for ${which} cannot be used: ${why}`,
      accepted: "a PEM chain and its PEM private key",
      advice: "correct the files that [gateway.tls] names",
    });
  }
}

export class ServerTls implements Pick<Tcp, "listen"> {
  readonly #server: Server;
  #names: ReadonlyMap<string, SecureContext>;

  /** Throws `CertificateError`. */
  constructor(certificates: TlsCertificates) {
    this.#names = checked(certificates);
    const options = {
      key: certificates.key,
      cert: certificates.cert,
      minVersion: "TLSv1.2" as const,
      ...nodeSocketOptions,
      ALPNProtocols: ["http/1.1"],
      SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) =>
        done(null, this.#contextOf(name.toLowerCase())),
    };
    this.#server = createServer(options);
  }

  /** Sockets are passed on once their handshake is done. */
  listen(options: TcpListenOptions, onSocket: (socket: TcpSocket) => void): Promise<TcpListener> {
    this.#server.on("secureConnection", (socket) => onSocket(nodeSocket(socket)));
    return listenWith(this.#server, options);
  }

  /** Replaces the certificates for new connections. Throws `CertificateError` without changing anything. */
  replace(certificates: TlsCertificates): void {
    const names = checked(certificates);
    this.#server.setSecureContext({ key: certificates.key, cert: certificates.cert, minVersion: "TLSv1.2" });
    this.#names = names;
  }

  /** Undefined: the default. */
  #contextOf(name: string): SecureContext | undefined {
    const dot = name.indexOf(".");
    return this.#names.get(name) ?? (dot === -1 ? undefined : this.#names.get(`*${name.slice(dot)}`));
  }
}

function checked(certificates: TlsCertificates): Map<string, SecureContext> {
  contextOf("the default name", certificates);
  return new Map(
    Object.entries(certificates.names ?? {}).map(([name, certificate]) => [
      name.toLowerCase(),
      contextOf(name, certificate),
    ]),
  );
}

function contextOf(which: string, { key, cert }: Certificate): SecureContext {
  try {
    return createSecureContext({ key, cert, minVersion: "TLSv1.2" });
  } catch (error) {
    throw new CertificateError(which, messageOf(error));
  }
}
