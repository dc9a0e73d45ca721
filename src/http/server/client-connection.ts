/**
 * One connection from a client: reads its requests one after the other and has them answered in order.
 *
 * Depending on the connection's state, bytes go to the head being read, to the body of the current request, to the
 * tunnel, or wait (pipelined requests, up to `readAheadBytesMax`; then reading stops). A broken request is answered
 * once, with the reason and never with its bytes, and the connection closes, because the start of the next request is
 * unknown.
 */
import type { Buffer } from "node:buffer";
import type { Piece, TcpSocket, TcpUser } from "../../runtime/tcp/tcp.ts";
import { authority } from "../message/head.ts";
import { BodyRate, WriteStall } from "./slow-client.ts";
import type { ConnectionOwner, OwnedConnection } from "./connection-owner.ts";
import type { Timed } from "../../runtime/deadlines.ts";
import type { ClientTunnel, Exchange, Handling } from "../upstream/exchange.ts";
import type { PinnedConnections } from "../upstream/pinned-connections.ts";
import type { HttpLimits } from "../limits.ts";
import { localReplyBytes, errorReply } from "./local-reply.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import type { ProxySource } from "./proxy-protocol.ts";
import { RequestParser, type NextRequest } from "./request-parser.ts";
import { type ExchangeConnection, ServerExchange } from "./server-exchange.ts";

/** `head`: a part of a request has arrived. `lingering`: our side is ended, the rest is read and discarded. */
type State = "idle" | "head" | "exchange" | "tunnel" | "lingering" | "closed";

export class ClientConnection implements Timed, TcpUser, ExchangeConnection, OwnedConnection {
  deadlineAt = Infinity;
  /** The client's address, from the PROXY protocol where it is used. */
  remoteAddress: string;
  remotePort: number;
  countedAddress: string;
  client: object = {};
  pinned: PinnedConnections | undefined;
  readonly isSecure: boolean;
  readonly limits: HttpLimits;
  readonly owner: ConnectionOwner;
  readonly #socket: TcpSocket;
  readonly #handle: ((exchange: Exchange) => Handling) | undefined;
  #state: State = "idle";
  #exchange: ServerExchange | undefined;
  readonly #input: RequestParser;
  #hasClientEnded = false;
  #tunnel: ClientTunnel | undefined;
  #hasTunnelEnded = false;
  #isPaused = false;
  #discarded = 0;
  /** No byte of a request has arrived yet. */
  #isFresh = true;
  readonly #stall = new WriteStall();
  readonly #rate: BodyRate;

  constructor(
    owner: ConnectionOwner,
    socket: TcpSocket,
    how: {
      readonly secure: boolean;
      readonly proxyHeaderDue: boolean;
      /** End of the time for the first byte of a request, if it began before (a TLS handshake). */
      readonly firstRequestBy?: number;
      /** Named by a load balancer before the handshake. Default: the other end. */
      readonly client?: ProxySource | undefined;
      /** Answers its requests. Default: the owner. */
      readonly onExchange?: ((exchange: Exchange) => Handling) | undefined;
    },
  ) {
    this.owner = owner;
    this.#handle = how.onExchange;
    this.limits = owner.limits;
    this.#socket = socket;
    this.isSecure = how.secure;
    this.#input = new RequestParser(owner.limits, how.proxyHeaderDue, ({ address, port }) => {
      this.remoteAddress = address;
      this.remotePort = port;
      this.client = {};
      if (!owner.onClientNamed(this, address))
        throw new ProtocolError(429, "too_many_connections", "this address has too many connections open");
    });
    this.#rate = new BodyRate(owner.limits);
    const { address, port } = how.client ?? { address: socket.remoteAddress, port: socket.remotePort };
    this.countedAddress = address;
    this.remoteAddress = address;
    this.remotePort = port;
    owner.deadlines.add(this);
    this.#expire(Math.min(owner.limits.idleMs, owner.limits.firstRequestMs));
    this.deadlineAt = Math.min(this.deadlineAt, how.firstRequestBy ?? Infinity);
    socket.use(this);
  }

  get isCongested(): boolean {
    return this.#stall.isCongested;
  }

  get isClear(): boolean {
    return this.#socket.isClear;
  }

  get idleSince(): number {
    const { firstRequestMs, idleMs, headArrivalMs } = this.limits;
    if (this.#stall.isCongested) return Infinity;
    if (this.#state === "idle") return this.deadlineAt - (this.#isFresh ? Math.min(firstRequestMs, idleMs) : idleMs);
    if (this.#state === "head") return this.deadlineAt - headArrivalMs;
    return this.#state === "lingering" ? 0 : Infinity;
  }

  get isLastExchange(): boolean {
    return this.owner.isDraining || (this.#hasClientEnded && this.#input.length === 0);
  }

  get localAuthority(): string {
    return authority(this.#socket.localAddress, this.#socket.localPort);
  }

  write(pieces: readonly Piece[]): void {
    if (this.#state === "closed" || this.#state === "lingering") return;
    this.#socket.writeAll(pieces);
    if (this.#stall.onWrite(this.#socket.waitingBytes, this.limits)) this.#expire(this.limits.writeStallMs);
  }

  drain(): void {
    if (this.#state === "idle") this.#linger();
  }

  abort(how: "destroy" | "reset"): void {
    if (this.#state === "closed") return;
    this.onClose();
    if (how === "reset") this.#socket.reset();
    else this.#socket.destroy();
  }

  onDeadline(): void {
    this.deadlineAt = Infinity;
    if (this.#stall.isCongested) {
      if (this.#stall.isStuck(this.#socket.waitingBytes)) this.abort("reset");
      else this.#expire(this.limits.writeStallMs);
    } else if (this.#state === "head")
      this.#refuse(new ProtocolError(408, "head_too_slow", "the request head did not arrive in time"));
    else if (this.#state === "exchange") this.#checkBodyRate();
    else this.abort("destroy");
  }

  #checkBodyRate(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || exchange.isBodyDone || !this.#rate.isWatching) return;
    // A client that waits for 100 (Continue) is not slow: it is the upstream's turn, and that has its own limit.
    const clientsTurn = !this.#isPaused && !(exchange.request.expectsContinue && exchange.bodyBytes === 0);
    if (clientsTurn && this.#rate.isTooSlow(exchange.bodyBytes))
      this.#refuse(new ProtocolError(408, "body_too_slow", "the request body arrives too slowly"));
    else if (this.#rate.start(exchange.bodyBytes)) this.#expire(this.limits.bodyRateWindowMs);
  }

  // Bytes from the client.

  onData(chunk: Buffer): undefined {
    switch (this.#state) {
      case "idle":
      case "head":
        this.#readNext(chunk);
        return undefined;
      case "exchange":
        this.#onExchangeData(chunk);
        return undefined;
      case "tunnel":
        this.#tunnel?.sendData(chunk);
        return undefined;
      case "lingering":
        this.#discarded += chunk.length;
        if (this.#discarded > this.limits.discardBytesMax * 4) this.abort("destroy");
        return undefined;
      case "closed":
        return undefined;
    }
  }

  #onExchangeData(chunk: Buffer, exchange = this.#exchange): void {
    if (exchange === undefined) return;
    let at = 0;
    if (!exchange.isBodyDone) {
      try {
        at = exchange.readBody(chunk, 0);
      } catch (error) {
        this.#refuse(error);
        return;
      }
      // The exchange may have ended with its body, and the connection may have ended or continued with the next
      // request.
      if (this.#exchange !== exchange) {
        if (at < chunk.length) this.onData(chunk.subarray(at));
        return;
      }
      if (!exchange.isBodyDone && exchange.isResponseDone) {
        this.#discarded += chunk.length;
        if (!exchange.restIsBearable(this.#discarded)) this.#linger();
        return;
      }
    }
    if (at < chunk.length) this.#input.keep(at === 0 ? chunk : chunk.subarray(at));
    this.updateFlow();
  }

  #readNext(fresh: Buffer | undefined): void {
    if (this.#state === "idle") {
      this.#state = "head";
      this.#isFresh = false;
      this.#expire(this.limits.headArrivalMs);
    }
    try {
      const next = this.#input.next(fresh);
      if (next !== undefined) this.#startExchange(new ServerExchange(this, next.request), next);
      else if (this.#input.length === 0) this.#becomeIdle();
    } catch (error) {
      this.#refuse(error);
    }
  }

  #becomeIdle(): void {
    this.#state = "idle";
    this.#rate.pause();
    if (!this.#stall.isCongested) this.#expire(this.limits.idleMs);
  }

  #startExchange(exchange: ServerExchange, { bytes, bodyStart }: NextRequest): void {
    this.#state = "exchange";
    this.#exchange = exchange;
    this.#discarded = 0;
    this.#rate.pause();
    this.deadlineAt = Infinity;
    // The part of the body that arrived with the head is taken first, so that a small request is sent on in one write.
    let at = bodyStart;
    if (!exchange.isBodyDone) {
      at = exchange.readBody(bytes, at);
      if (!exchange.isBodyDone && this.#rate.start(exchange.bodyBytes)) this.#expire(this.limits.bodyRateWindowMs);
    }
    if (at < bytes.length) this.#input.keep(bytes.subarray(at));
    const handling = this.owner.onExchange(exchange, this.#handle);
    if (handling !== undefined) this.onHandling(exchange, handling);
    this.updateFlow();
  }

  onHandling(exchange: ServerExchange, rest: Handling): void {
    const settled = (): void => this.#onHandlerSettled(exchange);
    if (rest === undefined) settled();
    else rest.catch((error: unknown) => this.owner.onHandlerError(error)).then(settled, settled);
  }

  /** A handler that leaves a request unanswered, or fails, must not leave the client waiting. */
  #onHandlerSettled(exchange: ServerExchange): void {
    exchange.isHandlerSettled = true;
    this.owner.onExchangeEnd(exchange);
    if (exchange !== this.#exchange) return;
    if (!exchange.isResponseDone && exchange.hasResponseStarted) this.abort("destroy");
    else if (!exchange.isResponseDone) this.#refuseWith(500, "internal_error", "the request could not be handled");
    else this.onProgress();
  }

  onProgress(): void {
    const exchange = this.#exchange;
    if (exchange === undefined || !exchange.isResponseDone) return;
    if (!exchange.isHandlerSettled) {
      this.updateFlow();
      return;
    }
    if (this.#state === "tunnel") {
      this.#linger();
    } else if (!exchange.isBodyDone) {
      if (exchange.mustClose || !exchange.restIsBearable(0)) this.#linger();
      else this.updateFlow();
    } else if (exchange.mustClose) this.#linger();
    else this.#next(exchange);
  }

  #next(exchange: ServerExchange): void {
    exchange.onFinished();
    this.#exchange = undefined;
    this.#becomeIdle();
    if (this.#input.length > 0) this.#readNext(undefined);
    // A client that has ended its side gets the answers to what it has sent, then the end.
    if (this.#hasClientEnded && this.#exchange === undefined) this.#linger();
    this.updateFlow();
  }

  updateFlow(): void {
    const exchange = this.#exchange;
    let pause = false;
    if (exchange !== undefined && this.#state === "tunnel") pause = exchange.mustPauseTunnel;
    else if (exchange !== undefined) pause = exchange.mustPause || this.#input.length >= this.limits.readAheadBytesMax;
    if (pause === this.#isPaused || this.#state === "closed") return;
    this.#isPaused = pause;
    if (pause) this.#socket.pause();
    else {
      if (exchange !== undefined && this.#rate.isWatching) this.#rate.start(exchange.bodyBytes);
      this.#socket.resume();
    }
  }

  startTunnel(tunnel: ClientTunnel): void {
    this.#state = "tunnel";
    this.#tunnel = tunnel;
    this.deadlineAt = Infinity;
    this.updateFlow();
    const early = this.#input.take();
    if (early !== undefined) tunnel.sendData(early);
  }

  endTunnel(): void {
    if (this.#hasTunnelEnded || this.#state !== "tunnel") return;
    this.#hasTunnelEnded = true;
    this.#socket.end();
  }

  onDrain(): void {
    if (this.#state === "closed") return;
    if (this.#stall.isCongested) {
      this.#stall.isCongested = false;
      if (this.#state === "idle") this.#expire(this.limits.idleMs);
      else this.#expire(this.#rate.isWatching ? this.limits.bodyRateWindowMs : 0);
    }
    this.#exchange?.onClientDrain();
  }

  // Ends.

  onEnd(): void {
    if (this.#state === "closed") return;
    this.#hasClientEnded = true;
    const exchange = this.#exchange;
    if (this.#state === "tunnel") this.#tunnel?.sendEnd();
    else if (
      exchange !== undefined &&
      !exchange.isResponseDone &&
      (!exchange.isBodyDone || this.owner.halfClose === "gone")
    )
      this.abort("destroy");
    else if (exchange === undefined && this.#state !== "lingering") this.#linger();
    // Otherwise its answer is in progress, or it only ends its side and is to be served (`HalfClose`); only a reset
    // then shows that it is gone.
  }

  #refuse(error: unknown): void {
    if (!(error instanceof ProtocolError)) throw error;
    this.owner.onProtocolError(error, this.remoteAddress);
    this.#refuseWith(error.status, error.code, error.message);
  }

  #refuseWith(status: number, code: string, message: string): void {
    const exchange = this.#exchange;
    if (exchange?.hasResponseStarted === true) {
      this.abort("destroy");
      return;
    }
    exchange?.onGone();
    if (this.#state === "closed") return;
    const response = errorReply(
      status,
      code,
      message,
      exchange === undefined ? this.#input.accept : exchange.request.headers.get("accept"),
    );
    this.write(localReplyBytes(response, exchange?.request.method ?? "GET", "close", this.owner.wallTime()));
    this.#linger();
  }

  /** Ends our side and keeps reading for a while, so that the client receives the last response (RFC 9112, 9.6). */
  #linger(): void {
    if (this.#state === "closed" || this.#state === "lingering") return;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.onGone();
    exchange?.onFinished();
    this.pinned?.abort();
    if (!this.#hasTunnelEnded) this.#socket.end();
    this.#state = "lingering";
    this.#input.take();
    this.#discarded = 0;
    this.#stall.isCongested = false;
    this.#expire(this.#socket.waitingBytes > 0 ? this.limits.writeStallMs : this.limits.lingerMs);
    this.updateFlow();
  }

  onClose(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.deadlineAt = Infinity;
    this.owner.deadlines.remove(this);
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#input.take();
    exchange?.onGone();
    exchange?.onFinished();
    this.pinned?.abort();
    this.owner.onConnectionClosed(this);
  }

  #expire(ms: number): void {
    this.deadlineAt = this.owner.deadlines.after(ms);
  }
}
