/**
 * The listening side of the data plane: accepts connections within bounds, counts exchanges, drains and ends.
 */
import type { Socket } from "node:net";
import type { Counter } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import { listenForStreams, nodeSocket } from "../../runtime/tcp/node-tcp.ts";
import { systemRandom, type Random } from "../../runtime/random.ts";
import { systemTcp } from "../../runtime/tcp/system-tcp.ts";
import type { Tcp, TcpListener, TcpSocket } from "../../runtime/tcp/tcp.ts";
import { Admission, type Crowd } from "./admission.ts";
import type { AccessEntry } from "./access-log.ts";
import { type AlpnChallenges, answerChallenge, isChallenge } from "./alpn-challenge.ts";
import { AppConnection, type AppProtocol, type AppServer } from "./app-connection.ts";
import { ClientConnection } from "./client-connection.ts";
import type { ConnectionOwner, HalfClose, NamedConnection, OwnedConnection } from "./connection-owner.ts";
import { Deadlines } from "../../runtime/deadlines.ts";
import { type AcceptedSocket, Handshake } from "./handshake.ts";
import type { Exchange, Handling } from "../upstream/exchange.ts";
import { httpLimits, type HttpLimits } from "../limits.ts";
import { explained } from "./listen.ts";
import { Overflow } from "./overflow.ts";
import type { MemorySocket } from "../../runtime/tcp/memory-socket.ts";
import type { ProtocolError } from "../message/protocol-error.ts";
import type { BodySpool } from "../spool/body-spool.ts";
import { RandomNames } from "../../runtime/random-names.ts";
import type { ServerExchange } from "./server-exchange.ts";
import { ServerTls, type TlsCertificates } from "./server-tls.ts";
import { plainAddress, TrustedProxies } from "./trusted-proxies.ts";

export { ListenError } from "./listen.ts";

/** One address to listen on. */
export interface EntranceOptions {
  /** Port 0 takes any free port. */
  readonly host: string;
  readonly port: number;
  /** An inherited listening socket to use instead of opening one. */
  readonly descriptor?: number | undefined;
  /** Other processes may listen there too. Default: false. */
  readonly reusePort?: boolean;
  /** Terminates TLS with these certificates. */
  readonly tls?: TlsCertificates;
}

/** An address beside the first one. */
export interface FurtherEntrance extends EntranceOptions {
  /** Answers its requests. Default: the server's. */
  onExchange?(exchange: Exchange): Handling;
}

export interface HttpServerOptions extends EntranceOptions {
  /** With the limits and the bounds of the first one. Default: none. */
  readonly further?: readonly FurtherEntrance[];
  /** Reads the requests of these protocols in place of this server, from then on by `adopt`. Default: none. */
  readonly app?: ((server: HttpServer) => AppServer) | undefined;
  readonly limits?: Partial<HttpLimits>;
  /** For bodies that are longer than `keepBodyBytesMax`. Default: they are not kept. */
  readonly spool?: BodySpool | undefined;
  readonly clock: Clock;
  /** Default: the runtime's. */
  readonly tcp?: Tcp;
  /** Default: `gone`. */
  readonly halfClose?: HalfClose;
  /** Answers one request. A request that is still unanswered when its handler is done gets 500. */
  onExchange(exchange: Exchange): Handling;
  /** Called when a request ends, answered or not. Without it, requests are not timed. */
  onAccess?(entry: AccessEntry): void;
  /** Default: the system's. */
  readonly random?: Random;
  /** A client broke the protocol or a limit and was refused. */
  onProtocolError?(error: ProtocolError, remoteAddress: string): void;
  /** `onExchange` rejected: a programming error. Default: thrown as an uncaught exception, never swallowed. */
  onHandlerError?(error: unknown): void;
  /**
   * Addresses and ranges of load balancers that start each connection with a PROXY protocol header (version 1 or 2),
   * before the TLS handshake if there is one. From them it is required, from others it is refused. Default: none.
   */
  readonly proxyProtocolFrom?: readonly string[];
  /** Of a certificate authority, to be answered on the addresses with TLS. Default: none. */
  readonly challenges?: AlpnChallenges | undefined;
  /** Addresses and ranges that stand for many clients: the bound of one address is not theirs. Default: none. */
  readonly proxies?: readonly string[];
  /** Connections; default: they are not counted. `displaced`: idle ones that were closed to make room. */
  readonly counts?: { readonly accepted: Counter; readonly refused: Counter; readonly displaced: Counter };
  /** A bound of connections was reached: `closed` idle ones made room; 0: the new one was refused. */
  onCrowd?(crowd: Crowd, address: string, closed: number): void;
  /**
   * Answers the request of a connection beyond the bounds (overflow.ts). Without it, and with TLS, such connections are
   * closed at once.
   */
  onOverflow?(exchange: Exchange): Handling;
}

export interface CloseOptions {
  readonly drainMs: number;
  /**
   * What happens to idle connections. `close` (default): closed now; a request that is just in transit is lost with
   * them. `serve-once`: one more request is answered, with `Connection: close`, so that no client unexpectedly meets a
   * closed connection, also after an answer whose head was written before; for a process that another one replaces.
   */
  readonly idle?: "close" | "serve-once";
}

/** Where it listens. */
interface Entrance {
  readonly tls: ServerTls<Handshake> | undefined;
  readonly listener: TcpListener;
}

export class HttpServer implements ConnectionOwner {
  readonly limits: HttpLimits;
  readonly deadlines: Deadlines;
  readonly keptBytes = { total: 0 };
  readonly spool: BodySpool | undefined;
  isDraining = false;
  readonly names: RandomNames;
  readonly halfClose: HalfClose;
  readonly #options: HttpServerOptions;
  readonly #app: AppServer | undefined;
  readonly #entrances: Entrance[] = [];
  readonly #connections: Admission;
  readonly #balancers: TrustedProxies;
  readonly #overflow: Overflow | undefined;
  #isRefusing = false;
  #activeExchanges = 0;
  #refusedConnections = 0;
  #onEmpty: (() => void) | undefined;

  /**
   * Starts listening. Throws `ListenError` with what to do if an address cannot be used, and `CertificateError`; then
   * it listens nowhere.
   */
  static async listen(options: HttpServerOptions): Promise<HttpServer> {
    const server = new HttpServer(options);
    const { onExchange: _own, ...first } = options;
    try {
      for (const entrance of [first, ...(options.further ?? [])]) await server.#open(entrance);
    } catch (error) {
      server.abort();
      throw error;
    }
    return server;
  }

  private constructor(options: HttpServerOptions) {
    this.#options = options;
    this.names = new RandomNames(options.random ?? systemRandom);
    this.limits = httpLimits(options.limits);
    this.spool = options.spool;
    this.halfClose = options.halfClose ?? "gone";
    this.deadlines = new Deadlines(options.clock);
    const { proxyProtocolFrom = [], proxies = [], onOverflow } = options;
    this.#overflow = onOverflow === undefined ? undefined : new Overflow(this, onOverflow);
    this.#balancers = new TrustedProxies(proxyProtocolFrom);
    this.#connections = new Admission({
      limits: this.limits,
      exempt: [...proxies, ...proxyProtocolFrom],
      onCrowd: (crowd, address, closed) => this.#onCrowd(crowd, address, closed),
    });
    this.#app = options.app?.(this);
  }

  /** Of the first address. */
  get port(): number {
    return this.ports[0] ?? 0;
  }

  /** In the order of the addresses. */
  get ports(): readonly number[] {
    return this.#entrances.map(({ listener }) => listener.port);
  }

  /** Of the listening sockets, in the order of the addresses; -1 where the runtime does not report it. */
  get descriptors(): readonly number[] {
    return this.#entrances.map(({ listener }) => listener.descriptor);
  }

  get mayServeOnceMore(): boolean {
    return this.isDraining && !this.#isRefusing;
  }

  /** Requests that were passed to `onExchange` and are not finished. */
  get activeExchanges(): number {
    return this.#activeExchanges;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Connections that were closed immediately because a limit was reached. */
  get refusedConnections(): number {
    return this.#refusedConnections;
  }

  /**
   * Stops accepting, lets exchanges finish (their responses say `Connection: close`), and ends the rest after
   * `drainMs`. Resolves once no connection is left.
   */
  async close(options: CloseOptions): Promise<void> {
    this.isDraining = true;
    this.#isRefusing = options.idle !== "serve-once";
    this.#closeListeners();
    if (options.idle !== "serve-once") for (const connection of [...this.#connections]) connection.drain();
    if (this.#connections.size > 0 && options.drainMs > 0) {
      const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve));
      const timer = this.#options.clock.setTimer(options.drainMs, () => this.#onEmpty?.());
      await empty;
      timer.cancel();
    }
    this.abort();
  }

  /** Ends every connection now without sending another byte. Stops accepting. */
  abort(): void {
    this.isDraining = true;
    this.#isRefusing = true;
    this.#closeListeners();
    for (const connection of [...this.#connections]) connection.abort("destroy");
    this.#overflow?.abort();
  }

  /**
   * Replaces the certificates for new connections. Throws `CertificateError` and changes nothing if they cannot be
   * used.
   */
  replaceCertificates(certificates: TlsCertificates): void {
    const secured = this.#entrances.flatMap(({ tls }) => (tls === undefined ? [] : [tls]));
    if (secured.length === 0) throw new Error("this server was not started with TLS");
    for (const tls of secured) tls.replace(certificates);
  }

  /**
   * Serves a connection that did not come through the listener (fetch-adapter.ts), with the same limits. `isCounted`:
   * the connection that its request came by counts already.
   */
  adopt(socket: MemorySocket, { secure, isCounted }: { readonly secure: boolean; readonly isCounted: boolean }): void {
    const adopted = nodeSocket(socket as unknown as Socket);
    if (!isCounted && !this.#mayEnter(adopted)) return;
    const connection = new ClientConnection(this, adopted, { secure, proxyHeaderDue: false });
    if (!isCounted) this.#connections.add(connection);
  }

  wallTime(): number {
    return this.#options.clock.wallTime();
  }

  onExchange(exchange: ServerExchange, handle = this.#options.onExchange): Handling {
    this.#activeExchanges++;
    if (this.#options.onAccess !== undefined)
      exchange.arrivedAt = { now: this.#options.clock.now(), wallTime: this.wallTime() };
    try {
      return handle(exchange);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  onExchangeEnd(exchange: ServerExchange): void {
    this.#activeExchanges--;
    const { arrivedAt, request } = exchange;
    if (arrivedAt === undefined) return;
    this.#options.onAccess?.({
      wallTime: arrivedAt.wallTime,
      remoteAddress: exchange.remoteAddress,
      method: request.method,
      target: request.target,
      version: request.version,
      status: exchange.status,
      complete: exchange.isResponseDone,
      requestBytes: exchange.bodyBytes,
      responseBytes: exchange.responseBytes,
      durationMs: this.#options.clock.now() - arrivedAt.now,
      requestId: exchange.requestId,
      referer: request.headers.get("referer"),
      userAgent: request.headers.get("user-agent"),
    });
  }

  onProtocolError(error: ProtocolError, remoteAddress: string): void {
    this.#options.onProtocolError?.(error, remoteAddress);
  }

  onHandlerError(error: unknown): void {
    if (this.#options.onHandlerError !== undefined) {
      this.#options.onHandlerError(error);
      return;
    }
    // A programming error must not be swallowed: it is thrown outside any promise, so that it ends the process.
    queueMicrotask(() => {
      throw error;
    });
  }

  onConnectionClosed(connection: OwnedConnection): void {
    if (this.#connections.delete(connection) && this.#connections.size === 0) this.#onEmpty?.();
  }

  onClientNamed(connection: NamedConnection, address: string): boolean {
    this.#connections.delete(connection);
    const hasRoom = this.#connections.hasRoomAt(address);
    connection.countedAddress = plainAddress(address);
    this.#connections.add(connection);
    return hasRoom;
  }

  /** What comes before the first request begins; returns undefined if there is no room for the connection. */
  #onHandshake(socket: AcceptedSocket): Handshake | undefined {
    if (!this.#mayEnter(socket)) return undefined;
    const handshake = new Handshake(this, socket);
    this.#connections.add(handshake);
    return handshake;
  }

  async #open({ host, port, descriptor, reusePort, tls, onExchange }: FurtherEntrance): Promise<void> {
    const { tcp = systemTcp } = this.#options;
    const app = this.#app?.protocols ?? [];
    const address = { host, port, ...(descriptor === undefined ? {} : { descriptor }), reusePort: reusePort ?? false };
    const secured = tls === undefined ? undefined : new ServerTls<Handshake>(tls, app);
    secured?.watchHandshakes((socket) => this.#onHandshake(socket));
    const listen = (): Promise<TcpListener> => {
      if (secured !== undefined) {
        const onSocket = (socket: TcpSocket): void => this.#onSecured(secured, socket, onExchange);
        const onAppSocket = (socket: Socket, protocol: AppProtocol): void =>
          this.#onSecuredForApp(secured, socket, protocol);
        return this.#balancers.isEmpty && this.#options.challenges === undefined
          ? secured.listen(address, onSocket, onAppSocket)
          : secured.listenBehind(address, (socket) => this.#acceptForTls(secured, socket), onSocket, onAppSocket);
      }
      // A redirect is answered here in any case.
      if (app.includes("http/1.1") && onExchange === undefined)
        return listenForStreams(address, (socket) => this.#acceptForApp(socket));
      return tcp.listen(address, (socket) => this.#accept(socket, onExchange));
    };
    this.#entrances.push({ tls: secured, listener: await explained(listen, address) });
  }

  #closeListeners(): void {
    for (const { listener } of this.#entrances) listener.close();
  }

  #accept(socket: TcpSocket, onExchange: FurtherEntrance["onExchange"]): void {
    if (!this.#mayEnter(socket, () => this.#overflow?.take(socket))) return;
    const proxyHeaderDue = this.#balancers.has(socket.remoteAddress);
    this.#connections.add(new ClientConnection(this, socket, { secure: false, proxyHeaderDue, onExchange }));
  }

  #acceptForApp(socket: Socket): void {
    const app = this.#app;
    const handshake = this.#onHandshake(nodeSocket(socket));
    if (app === undefined || handshake === undefined) return;
    const serve = (): void => {
      this.#serveByApp(handshake, socket, "http/1.1");
      socket.resume(); // `readHeader` has paused it
    };
    if (!this.#balancers.has(socket.remoteAddress ?? "")) serve();
    else handshake.readHeader(socket, true, serve);
  }

  #acceptForTls(tls: ServerTls<Handshake>, socket: Socket): void {
    const handshake = this.#onHandshake(nodeSocket(socket));
    if (handshake === undefined) return;
    const { challenges } = this.#options;
    const begin = (): void => {
      if (challenges?.areOpen() !== true) tls.begin(socket, handshake);
      else
        handshake.readHello(socket, (hello) => {
          if (!isChallenge(hello)) tls.begin(socket, handshake);
          else answerChallenge(socket, hello, challenges).catch((error: unknown) => this.onHandlerError(error));
        });
    };
    if (!this.#balancers.has(socket.remoteAddress ?? "")) begin();
    else handshake.readHeader(socket, false, begin);
  }

  #onSecured(tls: ServerTls<Handshake>, socket: TcpSocket, onExchange: FurtherEntrance["onExchange"]): void {
    const handshake = tls.takeHandshake(socket);
    if (handshake === undefined) {
      socket.destroy();
      return;
    }
    // Counted before the handshake is not, so that the server is never empty in between.
    const { deadlineAt, client } = handshake;
    const how = { secure: true, proxyHeaderDue: false, firstRequestBy: deadlineAt, client, onExchange };
    this.#connections.add(new ClientConnection(this, socket, how));
    handshake.onGone();
  }

  #onSecuredForApp(tls: ServerTls<Handshake>, socket: Socket, protocol: AppProtocol): void {
    const handshake = tls.takeHandshake(socket);
    if (handshake === undefined) socket.destroy();
    else this.#serveByApp(handshake, socket, protocol);
  }

  #serveByApp(handshake: Handshake, socket: Socket, protocol: AppProtocol): void {
    const { deadlineAt, client } = handshake;
    if (this.#app !== undefined)
      this.#connections.add(new AppConnection(this, this.#app, { socket, protocol, client }, deadlineAt));
    handshake.onGone();
  }

  /** `overflow`: takes a connection beyond the bounds, if there is room for that. */
  #mayEnter(socket: AcceptedSocket, overflow?: () => boolean | undefined): boolean {
    if (!this.#isRefusing && this.#connections.hasRoomFor(socket.remoteAddress)) {
      this.#options.counts?.accepted.add();
      return true;
    }
    this.#refusedConnections++;
    this.#options.counts?.refused.add();
    if (this.#isRefusing || overflow?.() !== true) socket.destroy();
    return false;
  }

  #onCrowd(crowd: Crowd, address: string, closed: number): void {
    if (closed > 0) this.#options.counts?.displaced.add(closed);
    this.#options.onCrowd?.(crowd, address, closed);
  }
}
