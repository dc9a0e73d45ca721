/**
 * One attempt to have an upstream answer a request: request out, response in, checked, gated, released.
 *
 * The attempt ends exactly once, with a `ForwardOutcome`. It keeps what a replay decision needs: whether a byte of the
 * request was written, and whether a byte of a response was released. Pieces that wait for the gate when an attempt
 * ends are dropped: no client was promised them.
 */
import type { Buffer } from "node:buffer";
import { isIdempotent, type LossCause } from "../../core/replay.ts";
import type { ChunkUse } from "../../runtime/tcp/tcp.ts";
import { type AnswerProgress, type OpenAttempt, progressOf } from "./answer-progress.ts";
import type { AnswerRecorder, AttemptClient, CloseMode, ForwardOptions, ForwardOutcome } from "./exchange.ts";
import type { RequestHead } from "../message/head.ts";
import { LoneAnswer } from "./lone-answer.ts";
import { GatedRelease, type ReleaseTarget } from "./gated-release.ts";
import type { HeaderList } from "../message/headers.ts";
import { hostVerdict, type HostVerdict, isRecordedAnswer } from "../message/stead-fields.ts";
import type { Piece } from "../../runtime/tcp/tcp.ts";
import { brokenRule } from "../message/broken-rule.ts";
import { PinnedConnections } from "./pinned-connections.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import type { ParsedResponse } from "../message/read-response.ts";
import { requestFields, RequestSender } from "./request-sender.ts";
import { ResponseFlow } from "./response-flow.ts";
import { ResponseReader, type ResponseSink } from "./response-reader.ts";
import { ResponseWriter } from "./response-writer.ts";
import { Tunnel, type TunnelOwner } from "./tunnel.ts";
import type { UpstreamConnection, UpstreamUser } from "./upstream-connection.ts";
import type { ConnectionWaiter, Upstream } from "./upstream.ts";
import { completedOutcome, verdictOutcome } from "./verdict-outcome.ts";
import type { PartialAnswer } from "./whole-answers.ts";

/** `complete`: only the gate's answer is missing. `alone`: its client is gone (lone-answer.ts). */
type AttemptPhase = "waiting" | "open" | "complete" | "tunnel" | "alone" | "settled";

export class Attempt
  implements UpstreamUser, ConnectionWaiter, ResponseSink, ReleaseTarget, TunnelOwner, OpenAttempt, PartialAnswer
{
  /** Number of released parts of the response. */
  released = 0;
  readonly release: GatedRelease;
  readonly flow: ResponseFlow;
  readonly mayReuseOld: boolean;
  readonly client: AttemptClient;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  readonly #reader: ResponseReader;
  readonly #writer: ResponseWriter;
  #phase: AttemptPhase = "waiting";
  #connection: UpstreamConnection | undefined;
  #tunnel: Tunnel | undefined;
  #isReused = false;
  #sender: RequestSender | undefined;
  /** A byte of a response has arrived. */
  #hasReceived = false;
  #isFinalReleased = false;
  #response: ParsedResponse | undefined;
  /** The host's verdict in place of a response of its application; it is for the gateway, not for the client. */
  #verdict: HostVerdict | undefined;
  #isRecorded = false;
  #recorder: AnswerRecorder | undefined;
  #trailers: HeaderList | undefined;
  /** Of a response that has arrived in part; decided before any of it leaves. */
  #progress: AnswerProgress = "none";
  readonly #firstByteMs: number;
  #sentAt = 0;

  constructor(client: AttemptClient, upstream: Upstream, options: ForwardOptions) {
    this.client = client;
    this.#upstream = upstream;
    this.#options = options;
    this.release = new GatedRelease(this, options.gate, options.rules);
    this.flow = new ResponseFlow(client.connection, this.release, client.limits.writeBufferBytesMax);
    this.#reader = new ResponseReader(client.request, client.limits, this);
    this.#writer = new ResponseWriter(client, this.release, options.editResponseFields);
    // If an application's connection ends, the application has the request, and resending it would not get an answer.
    this.mayReuseOld = options.upstreamIsHost !== false && isIdempotent(client.request.method);
    this.#firstByteMs = options.firstByteMs?.(client.request.target) ?? client.limits.firstByteMs;
  }

  get request(): RequestHead {
    return this.client.request;
  }

  get isSent(): boolean {
    return this.#phase !== "waiting" && this.#phase !== "settled";
  }

  get answer(): AnswerProgress {
    return this.#tunnel === undefined ? this.#progress : "stream";
  }

  start(): void {
    const { cancellation: end } = this.#options;
    if (end?.reason !== undefined) {
      this.#settle({ kind: "not-sent", reason: end.reason }, "no");
      return;
    }
    end?.add(this);
    const own = this.client.connection.pinned?.take(this.#upstream);
    if (own === undefined) this.#upstream.acquire(this);
    else this.onConnection(own);
  }

  // The request on its way to the upstream.

  onConnection(connection: UpstreamConnection): void {
    const client = this.client;
    this.#connection = connection;
    this.#isReused = connection.uses > 0;
    this.#phase = "open";
    connection.deadlineAt = Infinity;
    if (client.request.logsInConnection || client.connection.pinned !== undefined) this.#pin(connection);
    if (this.#upstream.firstByte !== undefined) this.#sentAt = this.#upstream.clock.now();
    connection.use(this);
    const sender = new RequestSender(client, connection, this);
    this.#sender = sender;
    try {
      sender.start(requestFields(client, this.#upstream, this.#options));
    } catch (error) {
      this.#fail(error);
      return;
    }
    connection.notAfter = this.#upstream.deadlines.after(this.client.limits.responseMs);
    this.#expire(this.#firstByteMs);
    if (!client.isBodyDone) client.setBodyFlow(sender.isCongested ? "paused" : "to-attempt");
  }

  onRefused(reason: string): void {
    this.#settle({ kind: "not-sent", reason }, "no");
  }

  sendBody(data: Buffer): void {
    if (this.#connection !== undefined) this.#sender?.send(data);
  }

  onBodySent(): void {
    this.#expire(this.#hasReceived ? this.client.limits.responseIdleMs : this.#firstByteMs);
  }

  sendBodyEnd(trailers: HeaderList | undefined): void {
    if (this.#connection !== undefined) this.#sender?.sendEnd(trailers);
  }

  onDrain(): void {
    this.#sender?.onDrain();
  }

  // The response on its way to the client.

  onData(chunk: Buffer): ChunkUse {
    if (!this.#hasReceived) this.#upstream.firstByte?.observe((this.#upstream.clock.now() - this.#sentAt) / 1_000);
    this.#hasReceived = true;
    this.#expire(this.client.limits.responseIdleMs);
    try {
      this.#reader.read(chunk);
    } catch (error) {
      if (error instanceof ProtocolError) this.#invalid(error);
      else this.#fail(error);
      return undefined;
    }
    if (this.#verdict !== undefined) {
      this.#settleVerdict(this.#verdict);
      return undefined;
    }
    this.#awaitRest();
    if (this.release.isHeldBack) return undefined;
    this.release.flush();
    this.#balance();
    return !this.#reader.hasBytes && this.release.waitingBytes === 0 && this.client.connection.isClear
      ? "consumed"
      : undefined;
  }

  onInterim(response: ParsedResponse): void {
    this.#writer.interim(response);
  }

  onFinal(response: ParsedResponse): void {
    this.#response = response;
    if (response.logsInConnection && this.#connection !== undefined) this.#pin(this.#connection);
    if (this.#options.upstreamIsHost !== false) {
      this.#verdict = hostVerdict(response);
      this.#isRecorded = isRecordedAnswer(response);
    }
    if (this.#verdict !== undefined) return;
    this.#recorder = this.#options.recordAnswer?.(this.request, response);
    this.#writer.final(response);
  }

  onSwitch(response: ParsedResponse, rest: Buffer | undefined): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#writer.switch(response);
    if (rest !== undefined) this.release.push(rest);
    this.#phase = "tunnel";
    this.#tunnel = new Tunnel(this, connection);
    this.#upstream.onTunnel(connection);
    this.#connection = undefined;
    this.client.startTunnel(this.#tunnel);
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    if (this.#verdict !== undefined) return;
    this.#recorder?.onBody(bytes, from, to);
    this.#writer.body(bytes, from, to);
  }

  onBodyEnd(trailers: HeaderList | undefined): void {
    if (this.#verdict !== undefined) return;
    this.#trailers = trailers;
    this.#writer.end(trailers);
  }

  onComplete(clean: boolean): void {
    this.#giveBack(clean && this.#sender?.isDone === true && this.#response?.keepAlive === true);
    if (this.#verdict !== undefined) return;
    this.#phase = "complete";
    this.#recorder?.onComplete(this.#trailers);
    this.release.end();
  }

  /** Holds back a response that has arrived in part, and lets a complete one go. */
  #awaitRest(): void {
    const response = this.#response;
    if (response === undefined) return;
    if (this.#phase !== "open") this.#settleRest();
    else if (this.#progress === "none") {
      // Its fields cannot be read any more once they have left.
      this.#progress = progressOf(response);
      const restBytes = response.framing.kind === "length" ? response.framing.bytes : 0;
      const waitingBytes = this.release.waitingBytes + restBytes;
      this.release.isHeldBack = this.#options.wholeAnswers?.begin(this, response, waitingBytes) === true;
    }
  }

  #settleRest(): void {
    if (!this.release.isHeldBack) return;
    this.release.isHeldBack = false;
    this.#options.wholeAnswers?.end(this);
  }

  onRestLate(): void {
    this.release.isHeldBack = false;
    this.release.flush();
    this.#balance();
  }

  /** The head decides the outcome; a body that did not arrive with it is not waited for. */
  #settleVerdict(verdict: HostVerdict): void {
    const reason = this.#response?.headers.get("stead-reason");
    this.#settle(verdictOutcome(verdict, reason, this.client.isBodyHeld, this.#isFinalReleased), "no");
  }

  onRelease(pieces: Piece[]): void {
    this.released++;
    if (this.#writer.hasStarted && !this.#isFinalReleased) {
      this.#isFinalReleased = true;
      this.client.onFinalReleased(this.#writer.status);
    }
    this.client.write(pieces);
    this.#balance();
  }

  onReleaseEnd(): void {
    if (this.#tunnel === undefined) this.#settle(completedOutcome(this.#writer.status, this.#isRecorded), "no");
    else this.#tunnel.onReleaseEnd();
  }

  onGateFailed(reason: string): void {
    this.#abort(this.#lost(`the gate did not open: ${reason}`), "destroy");
  }

  #balance(): void {
    if (this.#tunnel !== undefined) this.#tunnel.balance();
    else if (this.#connection !== undefined && this.flow.balance(this.#connection))
      this.#expire(this.client.limits.responseIdleMs);
  }

  onClientDrain(): void {
    this.#balance();
  }

  onTunnelOver(): void {
    this.#settle(completedOutcome(101), "no");
  }

  // Ends.

  onEnd(): void {
    const isUnended = this.#phase === "open" && this.#response?.framing.kind === "close";
    if ((isUnended && this.#options.isUpstreamEnding?.(this.request) === true) || !this.#reader.onEnd()) {
      const started = this.#response === undefined ? "without an answer" : "before its response was complete";
      this.#abort(this.#lost(`the upstream closed the connection ${started}`), this.#closeMode());
      return;
    }
    if (this.#verdict !== undefined) this.#settleVerdict(this.#verdict);
    else this.release.flush();
  }

  onGone(reason: string): void {
    this.#connection = undefined;
    this.#abort(this.#lost(reason), this.#closeMode());
  }

  onExpired(): void {
    const what = this.#hasReceived
      ? "did not complete its response in time"
      : `did not answer within ${this.#firstByteMs} ms`;
    this.#abort(this.#lost(`the upstream ${what}`, "timed-out"), this.#closeMode());
  }

  onClientGone(): void {
    if (this.#goOnAlone()) return;
    if (this.#phase === "waiting" && this.#options.outlivesClient !== undefined) this.onAbort("its client is gone");
    else this.#abort(this.#phase === "tunnel" ? completedOutcome(101) : { kind: "client-gone" }, "no");
  }

  #goOnAlone(): boolean {
    const [connection, options] = [this.#connection, this.#options];
    const isWhole = this.#phase === "open" && this.#sender?.isDone === true && this.answer !== "stream";
    if (connection === undefined || !isWhole || options.outlivesClient?.(this.request) !== true) return false;
    this.#phase = "alone";
    this.#settleRest();
    this.release.abort();
    this.flow.resume(connection);
    const arrived = { reader: this.#reader, response: this.#response, recorder: this.#recorder };
    new LoneAnswer({ client: this.client, options, connection, ...arrived }, (last) => {
      this.#response = last;
      this.#giveBack(last !== undefined);
      this.#settle({ kind: "client-gone" }, "no");
    }).start();
    return true;
  }

  onAbort(reason: string): void {
    if (this.#phase === "waiting") this.#abort({ kind: "not-sent", reason }, "no");
    else if (this.#phase === "tunnel") this.#abort(completedOutcome(101), "destroy");
    else if (this.#phase === "alone") this.#abort({ kind: "client-gone" }, "no");
    else this.#abort(this.#lost(reason), this.#isFinalReleased ? "destroy" : "no");
  }

  #invalid(error: ProtocolError): void {
    const reason = `invalid response: ${error.message}`;
    if (this.#isFinalReleased) {
      this.#abort(this.#lost(reason), this.#closeMode());
      return;
    }
    this.#upstream.reportError(reason);
    this.#abort({ kind: "upstream-invalid", reason: brokenRule(error) }, "no");
  }

  /** A function of an owner threw: a programming error, which is reported to the caller of `forward`. */
  #fail(error: unknown): void {
    this.client.onAttemptFailed(error);
    this.#abort({ kind: "client-gone" }, "destroy");
  }

  #lost(reason: string, cause: LossCause = "host-lost"): ForwardOutcome {
    if (this.#phase === "open") this.#upstream.reportError(reason);
    return {
      kind: "lost",
      released: this.#isFinalReleased,
      bodyHeld: this.client.isBodyHeld,
      reused: this.#isReused && !this.#hasReceived,
      cause,
      reason,
    };
  }

  /** Returns how the client can see that its response is incomplete. */
  #closeMode(): CloseMode {
    return !this.#isFinalReleased ? "no" : this.#writer.isEndedByConnection ? "reset" : "destroy";
  }

  #abort(outcome: ForwardOutcome, cut: CloseMode): void {
    if (this.#phase === "waiting") this.#upstream.cancel(this);
    this.#settle(outcome, cut);
  }

  #settle(outcome: ForwardOutcome, cut: CloseMode): void {
    if (this.#phase === "settled") return;
    this.#phase = "settled";
    this.#settleRest();
    this.release.abort();
    this.#giveBack(false);
    this.#tunnel?.abort("the exchange has ended");
    this.#options.cancellation?.delete(this);
    this.client.onAttemptSettled(outcome, cut);
  }

  #giveBack(reusable: boolean): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    this.flow.resume(connection);
    if (reusable) this.#release(connection);
    else {
      connection.detach();
      connection.abort("the connection cannot be used again");
    }
  }

  #release(connection: UpstreamConnection): void {
    const { pinned } = this.client.connection;
    const keepAliveMs = this.#response?.keepAliveMs;
    if (pinned === undefined) this.#upstream.release(connection, keepAliveMs);
    else if (this.#upstream.releasePinned(connection, keepAliveMs)) pinned.keep(this.#upstream, connection);
  }

  /** An application may have logged in the connection: it belongs to this client now (pinned-connections.ts). */
  #pin(connection: UpstreamConnection): void {
    this.client.connection.pinned ??= new PinnedConnections();
    this.#upstream.pin(connection);
  }

  #expire(ms: number): void {
    this.#connection?.expire(ms);
  }
}
