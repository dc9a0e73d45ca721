/**
 * Certificates of a TLS listener: a default one, others by server name (SNI), all replaceable while connections
 * continue.
 *
 * A replacement is checked as a whole before any of it is used: an unreadable certificate changes nothing.
 */
import type { Socket } from "node:net";
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from "node:tls";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import { listenForStreams, listenWith, nodeSocket, nodeSocketOptions } from "../../runtime/tcp/node-tcp.ts";
import type { Tcp, TcpListener, TcpListenOptions, TcpSocket } from "../../runtime/tcp/tcp.ts";
import type { AppProtocol } from "./app-connection.ts";
import type { AcceptedSocket } from "./handshake.ts";

export interface Certificate {
  /** Chain and private key, PEM. */
  readonly cert: string;
  readonly key: string;
}

/** What is demanded of clients, for a listener that serves processes of a cluster only. */
export interface ClientCertificates {
  /** Authorities, PEM. */
  readonly ca: readonly string[];
  /** True if a client whose certificate an authority has signed may enter. */
  accepts(socket: TLSSocket): boolean;
}

export interface TlsCertificates extends Certificate {
  /** Default: clients need no certificate. */
  readonly clients?: ClientCertificates;
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

/** A handshake in progress, for its socket. */
interface Watched {
  /** The socket is gone, or its handshake complete. */
  onGone(): void;
}

export class ServerTls<Handshake extends Watched> implements Pick<Tcp, "listen"> {
  readonly #server: Server;
  readonly #app: readonly AppProtocol[];
  /** Handshakes in progress, by the client's address and port. */
  readonly #handshakes = new Map<string, Handshake>();
  #names: ReadonlyMap<string, SecureContext>;
  /** Demanded from the start, or never: a replacement only changes which. */
  #clients: ClientCertificates | undefined;

  /** `app`: what it takes is offered and passed on by `listen`. Throws `CertificateError`. */
  constructor(certificates: TlsCertificates, app: readonly AppProtocol[] = []) {
    this.#app = app;
    this.#names = checked(certificates);
    this.#clients = certificates.clients;
    const options = {
      ...contextOptions(certificates),
      ...(certificates.clients === undefined ? {} : { requestCert: true, rejectUnauthorized: true }),
      ...nodeSocketOptions,
      ALPNProtocols: [...app.filter((protocol) => protocol === "h2"), "http/1.1"],
      SNICallback: (name: string, done: (error: Error | null, context?: SecureContext) => void) =>
        done(null, this.#contextOf(name.toLowerCase())),
    };
    this.#server = createServer(options);
  }

  /**
   * Passes every accepted connection to `admit`, before its handshake. Without an answer the connection has been
   * refused and destroyed.
   */
  watchHandshakes(admit: (socket: AcceptedSocket) => Handshake | undefined): void {
    this.#server.on("connection", (socket: Socket) => {
      if (this.#handshakes.has(clientOf(socket))) return; // `begin`
      const handshake = admit(nodeSocket(socket));
      if (handshake !== undefined) this.#watch(socket, handshake);
    });
  }

  /** Begins the handshake on a connection that `listenBehind` accepted. */
  begin(socket: Socket, handshake: Handshake): void {
    this.#watch(socket, handshake);
    this.#server.emit("connection", socket);
  }

  #watch(socket: Socket, handshake: Handshake): void {
    const key = clientOf(socket);
    this.#handshakes.set(key, handshake);
    socket.once("close", () => {
      if (this.#handshakes.get(key) === handshake) this.#handshakes.delete(key);
      handshake.onGone();
    });
  }

  /** Sockets are passed on once their handshake is done; `onAppSocket` gets those of the app's protocols. */
  listen(
    options: TcpListenOptions,
    onSocket: (socket: TcpSocket) => void,
    onAppSocket?: (socket: TLSSocket, protocol: AppProtocol) => void,
  ): Promise<TcpListener> {
    this.#passOn(onSocket, onAppSocket);
    return listenWith(this.#server, options);
  }

  /** Something comes before the handshake: `onAccepted` reads it and calls `begin`. */
  listenBehind(
    options: TcpListenOptions,
    onAccepted: (socket: Socket) => void,
    onSocket: (socket: TcpSocket) => void,
    onAppSocket: (socket: TLSSocket, protocol: AppProtocol) => void,
  ): Promise<TcpListener> {
    this.#passOn(onSocket, onAppSocket);
    return listenForStreams(options, onAccepted);
  }

  #passOn(
    onSocket: (socket: TcpSocket) => void,
    onAppSocket?: (socket: TLSSocket, protocol: AppProtocol) => void,
  ): void {
    this.#server.on("secureConnection", (socket) => {
      const protocol = socket.alpnProtocol === "h2" ? "h2" : "http/1.1";
      if (this.#clients?.accepts(socket) === false) socket.destroy();
      else if (this.#app.includes(protocol)) onAppSocket?.(socket, protocol);
      else onSocket(nodeSocket(socket));
    });
    // A failed handshake: not every runtime closes its socket.
    this.#server.on("tlsClientError", (_error, socket: Socket) => socket.destroy());
  }

  /** Returns the handshake that has led to `socket`, once. */
  takeHandshake(socket: Pick<Socket, "remoteAddress" | "remotePort">): Handshake | undefined {
    const key = clientOf(socket);
    const handshake = this.#handshakes.get(key);
    this.#handshakes.delete(key);
    return handshake;
  }

  /** Replaces the certificates for new connections. Throws `CertificateError` without changing anything. */
  replace(certificates: TlsCertificates): void {
    const names = checked(certificates);
    this.#server.setSecureContext(contextOptions(certificates));
    this.#names = names;
    this.#clients = certificates.clients;
  }

  /** Undefined: the default. */
  #contextOf(name: string): SecureContext | undefined {
    const dot = name.indexOf(".");
    return this.#names.get(name) ?? (dot === -1 ? undefined : this.#names.get(`*${name.slice(dot)}`));
  }
}

const clientOf = ({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string =>
  `${remoteAddress ?? ""} ${remotePort ?? 0}`;

const contextOptions = ({ key, cert, clients }: TlsCertificates) => ({
  key,
  cert,
  minVersion: "TLSv1.2" as const,
  ...(clients === undefined ? {} : { ca: [...clients.ca] }),
});

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
