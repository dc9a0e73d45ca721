/**
 * A request on a client connection: its body as it arrives, kept while a replay is possible, and its one response.
 *
 * The body goes to the current attempt as it arrives. It is also kept, up to `keepBodyBytesMax`, until a final response
 * has started; while it is not consumed, reading from the client stops at that bound. A longer one continues to be kept
 * in a file, where the server has a spool (spool/spooled-body.ts): from when an attempt takes it, and between two
 * attempts nothing more is read.
 */
import type { Buffer } from "node:buffer";
import { Attempt } from "../upstream/attempt.ts";
import { BodyReader } from "../message/body-reader.ts";
import type { BodySink } from "../message/chunked-reader.ts";
import type {
  AttemptClient,
  AttemptConnection,
  ClientTunnel,
  CloseMode,
  Exchange,
  ForwardOptions,
  ForwardOutcome,
  ForwardUser,
  Handling,
  LocalReply,
} from "../upstream/exchange.ts";
import type { HeaderList } from "../message/headers.ts";
import type { HttpLimits } from "../limits.ts";
import { localReplyBytes } from "./local-reply.ts";
import type { Piece } from "../../runtime/tcp/tcp.ts";
import type { ParsedRequest } from "../message/read-request.ts";
import type { BodySpool } from "../spool/body-spool.ts";
import type { SpooledBody } from "../spool/spooled-body.ts";
import { requestIdOf } from "./request-id.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { RandomNames } from "../../runtime/random-names.ts";

/** What an exchange needs of its server. */
interface ExchangeOwner {
  readonly limits: HttpLimits;
  /** Body bytes kept for replays, of all exchanges. */
  readonly keptBytes: { total: number };
  /** For longer bodies; undefined: none. */
  readonly spool: BodySpool | undefined;
  readonly names: RandomNames;
  readonly mayServeOnceMore: boolean;
  wallTime(): number;
}

/** What an exchange needs of its connection. */
export interface ExchangeConnection extends AttemptConnection {
  readonly owner: ExchangeOwner;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly client: object;
  readonly isSecure: boolean;
  /** The server is ending, or the client can send nothing more. */
  readonly isLastExchange: boolean;
  write(pieces: readonly Piece[]): void;
  /** The exchange's handler is done once `rest` is undefined or resolves. */
  onHandling(exchange: ServerExchange, rest: Handling): void;
  /** The exchange may be finished now; the connection reads its state. */
  onProgress(): void;
  updateFlow(): void;
  startTunnel(tunnel: ClientTunnel): void;
  abort(how: "destroy" | "reset"): void;
}

/** The receiver of a forward's end: a promise, or a user that is called. */
type ForwardEnding =
  | { readonly kind: "promise"; resolve(outcome: ForwardOutcome): void; reject(error: unknown): void }
  | { readonly kind: "user"; readonly upstream: Upstream; readonly user: ForwardUser };

/** Shared by all requests without a body; nothing is ever added to it. */
const none: Buffer[] = [];

export class ServerExchange implements Exchange, AttemptClient, BodySink {
  readonly request: ParsedRequest;
  readonly connection: ExchangeConnection;
  readonly limits: HttpLimits;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly client: object;
  readonly isSecure: boolean;
  /** The whole response has been written. */
  isResponseDone = false;
  /** `onExchange` has returned. */
  isHandlerSettled = false;
  hasResponseStarted = false;
  bodyTrailers: HeaderList | undefined;
  hasContinued = false;
  /** Body bytes that have arrived. */
  bodyBytes = 0;
  /** Bytes of the response that have been written. */
  responseBytes = 0;
  /** Status of the final response; 0 before it has started. */
  status = 0;
  /** Monotonic and wall-clock time of arrival; set only if something reads it. */
  arrivedAt: { readonly now: number; readonly wallTime: number } | undefined;
  readonly #reader: BodyReader;
  #kept: Buffer[] = none;
  #keptBytes = 0;
  #isKept = true;
  /** In place of `#kept`, once the body is too long for that. */
  #spooled: SpooledBody | undefined;
  #attempt: Attempt | undefined;
  #ending: ForwardEnding | undefined;
  #flow: "none" | "to-attempt" | "paused" = "none";
  #mustClose: boolean;
  /** The head of the response lets the client send another request on this connection. */
  #mayHaveNext = false;
  #isGone = false;
  #abort: AbortController | undefined;
  #requestId: string | undefined;
  #onWholeBody: ((body: readonly Buffer[] | undefined) => void) | undefined;

  constructor(connection: ExchangeConnection, request: ParsedRequest) {
    this.connection = connection;
    this.request = request;
    this.limits = connection.owner.limits;
    this.remoteAddress = connection.remoteAddress;
    this.remotePort = connection.remotePort;
    this.client = connection.client;
    this.isSecure = connection.isSecure;
    this.#reader = new BodyReader(request.framing, this.limits);
    this.#mustClose = !request.keepAlive;
  }

  get requestId(): string {
    return (this.#requestId ??= requestIdOf(this.request.headers, this.connection.owner.names));
  }

  get isBodyDone(): boolean {
    return this.#reader.isDone;
  }

  get kept(): readonly Buffer[] {
    return this.#kept;
  }

  get spooled(): SpooledBody | undefined {
    return this.#spooled;
  }

  get isBodyHeld(): boolean {
    return this.#isKept && (this.#spooled === undefined || this.#spooled.isHeld);
  }

  get bodyBytesHeldMax(): number {
    const { framing } = this.request;
    if (framing.kind === "none") return 0;
    const { keepBodyBytesMax } = this.limits;
    return framing.kind === "length" ? Math.min(framing.bytes, keepBodyBytesMax) : keepBodyBytesMax;
  }

  /** The connection must end after this exchange. */
  get mustClose(): boolean {
    if (this.#mayHaveNext && this.connection.owner.mayServeOnceMore) return this.#mustClose;
    return this.#mustClose || this.connection.isLastExchange;
  }

  /** Created on first use: most requests never need it. */
  get clientGone(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#isGone && !this.#abort.signal.aborted) this.#abort.abort(new Error("the client is gone"));
    return this.#abort.signal;
  }

  get isClientGone(): boolean {
    return this.#isGone;
  }

  /** True if reading from the client must pause. */
  get mustPause(): boolean {
    if (this.#reader.isDone || this.isResponseDone) return false;
    if (this.#flow === "paused" || this.#spooled?.isCongested === true) return true;
    return this.#flow === "none" && this.#isFull();
  }

  /** Passes body bytes to the exchange; returns the offset after the body. Throws `ProtocolError`. */
  readBody(chunk: Buffer, from: number): number {
    return this.#reader.read(chunk, from, this);
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    const data = from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to);
    this.bodyBytes += data.length;
    if (this.isResponseDone) return;
    if (this.#spooled !== undefined) this.#spooled.append(data);
    else if (this.#isKept) {
      if (this.#kept === none) this.#kept = [data];
      else this.#kept.push(data);
      this.#keptBytes += data.length;
      this.connection.owner.keptBytes.total += data.length;
      if (this.#flow !== "none" && (this.#keptBytes > this.limits.keepBodyBytesMax || this.#overTotal())) this.#spool();
    }
    if (this.#flow !== "none") this.#attempt?.sendBody(data);
    else this.#settleWholeBody();
  }

  onBodyEnd(trailers: HeaderList | undefined): void {
    this.bodyTrailers = trailers;
    if (this.#flow !== "none") this.#attempt?.sendBodyEnd(trailers);
    this.#settleWholeBody(true);
    if (this.isResponseDone) this.connection.onProgress();
  }

  #overTotal(): boolean {
    return this.connection.owner.keptBytes.total > this.limits.keepBodyTotalBytesMax;
  }

  /** No more of the body is taken without an attempt. */
  #isFull(): boolean {
    return this.#spooled !== undefined || this.#keptBytes >= this.limits.keepBodyBytesMax || this.#overTotal();
  }

  /** Moves what is kept to a file; drops it if there is no room for it. */
  #spool(): void {
    const { limits, request, connection } = this;
    const { spool, keptBytes: memory } = connection.owner;
    const bytes = request.framing.kind === "length" ? request.framing.bytes : undefined;
    const isLong = Math.max(this.#keptBytes, bytes ?? 0) > limits.keepBodyBytesMax;
    const shared = { memory, memoryBytesMax: limits.keepBodyTotalBytesMax };
    const spooled = isLong ? spool?.take(bytes, shared, () => connection.updateFlow()) : undefined;
    const kept = this.#kept;
    this.#dropKept();
    if (spooled === undefined) return;
    this.#isKept = true;
    this.#spooled = spooled;
    for (const data of kept) spooled.append(data);
  }

  #dropKept(): void {
    this.#spooled?.release();
    if (this.#keptBytes === 0) return;
    this.connection.owner.keptBytes.total -= this.#keptBytes;
    this.#isKept = false;
    this.#kept = none;
    this.#keptBytes = 0;
  }

  wholeBody(): Promise<readonly Buffer[] | undefined> {
    const settled = this.#wholeBodyNow();
    if (settled !== "not-yet") return Promise.resolve(settled);
    return new Promise((resolve) => (this.#onWholeBody = resolve));
  }

  #wholeBodyNow(isDone = this.#reader.isDone): readonly Buffer[] | undefined | "not-yet" {
    if (this.#isGone || !this.isBodyHeld) return undefined;
    if (this.#spooled !== undefined) return undefined;
    if (isDone) return this.#kept;
    return this.#isFull() || (this.request.expectsContinue && this.bodyBytes === 0) ? undefined : "not-yet";
  }

  #settleWholeBody(isDone?: boolean): void {
    const resolve = this.#onWholeBody;
    const settled = resolve === undefined ? "not-yet" : this.#wholeBodyNow(isDone);
    if (settled === "not-yet") return;
    this.#onWholeBody = undefined;
    resolve?.(settled);
  }

  async respond(response: LocalReply): Promise<void> {
    if (this.#isGone) return;
    if (this.hasResponseStarted) throw new Error("a response has been started already");
    if (this.#attempt !== undefined) throw new Error("a forward is in progress");
    if (!this.#restIsSmall()) this.#mustClose = true;
    const pieces = localReplyBytes(
      response,
      this.request.method,
      this.connectionField(),
      this.connection.owner.wallTime(),
    );
    this.hasResponseStarted = true;
    this.status = response.status;
    this.#dropKept();
    this.write(pieces);
    this.isResponseDone = true;
    this.connection.onProgress();
  }

  /**
   * True if the rest of the request's body can be read and discarded. A client that waits for 100 may never send it.
   */
  #restIsSmall(): boolean {
    if (this.#reader.isDone) return true;
    if (this.request.expectsContinue && this.bodyBytes === 0) return false;
    const { framing } = this.request;
    return framing.kind !== "length" || framing.bytes - this.bodyBytes <= this.limits.discardBytesMax;
  }

  /** Called for each read while the rest is discarded: false once it is too much. */
  restIsBearable(discardedBytes: number): boolean {
    return discardedBytes <= this.limits.discardBytesMax && this.#restIsSmall();
  }

  forward(upstream: Upstream, options: ForwardOptions): Promise<ForwardOutcome> {
    return new Promise((resolve, reject) => this.#forward(upstream, options, { kind: "promise", resolve, reject }));
  }

  forwardTo(upstream: Upstream, options: ForwardOptions, user: ForwardUser): void {
    this.#forward(upstream, options, { kind: "user", upstream, user });
  }

  #forward(upstream: Upstream, options: ForwardOptions, ending: ForwardEnding): void {
    if (this.#isGone) {
      this.#deliver(ending, { kind: "client-gone" });
      return;
    }
    if (this.hasResponseStarted) throw new Error("a response has been started already");
    if (this.#attempt !== undefined) throw new Error("a forward is in progress");
    if (!this.isBodyHeld) throw new Error("the request's body is no longer held, so it cannot be resent");
    this.#ending = ending;
    const attempt = new Attempt(this, upstream, options);
    this.#attempt = attempt;
    attempt.start();
  }

  #deliver(ending: ForwardEnding, outcome: ForwardOutcome): void {
    if (ending.kind === "promise") ending.resolve(outcome);
    else this.connection.onHandling(this, restOf(ending, this, outcome));
  }

  abort(): void {
    this.connection.abort("destroy");
  }

  // For the attempt.

  write(pieces: readonly Piece[]): void {
    for (const piece of pieces) this.responseBytes += piece.length;
    this.connection.write(pieces);
  }

  onFinalReleased(status: number): void {
    this.hasResponseStarted = true;
    this.status = status;
    this.#dropKept();
  }

  closeAfterwards(): void {
    this.#mustClose = true;
  }

  connectionField(): string | undefined {
    this.#mayHaveNext = false;
    if (this.mustClose) return "close";
    this.#mayHaveNext = true;
    return this.request.version === "1.0" ? "keep-alive" : undefined;
  }

  setBodyFlow(flow: "to-attempt" | "paused"): void {
    if (this.#flow === flow) return;
    this.#flow = flow;
    this.connection.updateFlow();
  }

  startTunnel(tunnel: ClientTunnel): void {
    this.#mustClose = true;
    this.connection.startTunnel(tunnel);
  }

  onAttemptFailed(error: unknown): void {
    const ending = this.#ending;
    this.#ending = undefined;
    if (ending?.kind === "promise") ending.reject(error);
    else this.connection.onHandling(this, Promise.reject(error));
  }

  onAttemptSettled(outcome: ForwardOutcome, cut: CloseMode): void {
    const ending = this.#ending;
    this.#attempt = undefined;
    this.#ending = undefined;
    this.#flow = "none";
    this.#spooled?.closeReading();
    if (cut !== "no") this.connection.abort(cut);
    else if (outcome.kind === "completed") {
      this.isResponseDone = true;
      if (ending?.kind === "promise") this.connection.onProgress();
    } else this.connection.updateFlow();
    if (ending !== undefined) this.#deliver(ending, outcome);
  }

  // For the connection.

  onClientDrain(): void {
    this.#attempt?.onClientDrain();
  }

  get mustPauseTunnel(): boolean {
    return this.#flow === "paused";
  }

  /** The client is gone, or has broken the protocol: ends the attempt. Idempotent. */
  onGone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#abort?.abort(new Error("the client is gone"));
    this.#attempt?.onClientGone();
    this.#settleWholeBody();
    this.#dropKept();
  }

  /** The last call on every exchange: releases all accounting. */
  onFinished(): void {
    this.#dropKept();
  }
}

/** Wraps the user's remaining work; an exception becomes its rejection. */
function restOf(
  { user, upstream }: ForwardEnding & { kind: "user" },
  exchange: Exchange,
  outcome: ForwardOutcome,
): Handling {
  try {
    return user.onOutcome(exchange, upstream, outcome);
  } catch (error) {
    return Promise.reject(error);
  }
}
