/**
 * One attempt to have an upstream answer a request: request out, response in, checked, gated, released.
 *
 * The attempt ends exactly once, with a `ForwardOutcome`. What makes a replay decidable is kept here: whether a byte of
 * the request was written, and whether a byte of a response was released. Pieces that wait for the gate when an attempt
 * ends are dropped: they were never promised to anybody.
 */
import type { Buffer as Bytes } from "node:buffer";
import { Buffer } from "node:buffer";
import { BodyReader, type BodySink } from "./body-reader.ts";
import type { ForwardOptions, ForwardOutcome } from "./exchange.ts";
import { GatedRelease, type ReleaseTarget } from "./gated-release.ts";
import { chunkedBody, closeDelimitedBody, noBody, type Framing } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import type { HttpLimits } from "./limits.ts";
import { pushChunk, writePieces, type Piece } from "./pieces.ts";
import { ProtocolError } from "./protocol-error.ts";
import type { ParsedRequest } from "./read-request.ts";
import { readResponse, type ParsedResponse } from "./read-response.ts";
import { lastChunk, requestBytes, responseBytes } from "./serialize.ts";
import type { UpstreamConnection, UpstreamUser } from "./upstream-connection.ts";
import type { ConnectionWaiter, Upstream } from "./upstream.ts";

/** The client's side of the exchange, as far as an attempt needs it. */
export interface AttemptClient {
  readonly parsed: ParsedRequest;
  readonly limits: HttpLimits;
  /** Address the client connected to, for requests of HTTP/1.0 without Host. */
  readonly localAuthority: string;
  readonly kept: readonly Bytes[];
  readonly bodyDone: boolean;
  readonly bodyTrailers: HeaderList | undefined;
  readonly bodyHeld: boolean;
  /** More bytes wait for the client than `writeBufferBytesMax`. */
  readonly congested: boolean;
  write(pieces: readonly Piece[]): void;
  /** A final head is on its way to the client. */
  onFinalReleased(): void;
  /** The response ends with the connection. */
  closeAfterwards(): void;
  /** Value of Connection in a final response. */
  connectionField(): string | undefined;
  /** The attempt takes body bytes from now on (`sendBody`), or cannot take more for the moment. */
  setBodyFlow(flow: "to_attempt" | "paused"): void;
  /** The connection has become a tunnel: what the client sends goes to `onTunnelData`. Returns what it has sent already. */
  startTunnel(): Bytes | undefined;
  endTunnel(): void;
  /** `cut`: the client must see that the response is incomplete; `reset` when an orderly end would look complete. */
  onAttemptSettled(outcome: ForwardOutcome, cut: "no" | "destroy" | "reset"): void;
}

type Phase = "waiting" | "head" | "body" | "skip" | "complete" | "tunnel" | "settled";

export class Attempt implements UpstreamUser, ConnectionWaiter, BodySink, ReleaseTarget {
  readonly #client: AttemptClient;
  readonly #upstream: Upstream;
  readonly #options: ForwardOptions;
  readonly #resolve: (outcome: ForwardOutcome) => void;
  readonly #reject: (error: unknown) => void;
  readonly #release: GatedRelease;
  readonly #onAbort: (() => void) | undefined;
  #phase: Phase = "waiting";
  #connection: UpstreamConnection | undefined;
  #reused = false;
  #requestDone = false;
  #paused = false;
  #received = false;
  #headBytes: Bytes | undefined;
  #interimCount = 0;
  #interimReleased = false;
  #finalPushed = false;
  #finalReleased = false;
  #status = 0;
  #response: ParsedResponse | undefined;
  #reader: BodyReader | undefined;
  /** Framing towards the client. */
  #framing: Framing = noBody;
  #responseEndsAt = Infinity;
  #upstreamEnded = false;
  #clientEnded = false;

  constructor(client: AttemptClient, upstream: Upstream, options: ForwardOptions, resolve: (outcome: ForwardOutcome) => void, reject: (error: unknown) => void) {
    this.#client = client;
    this.#reject = reject;
    this.#upstream = upstream;
    this.#options = options;
    this.#resolve = resolve;
    this.#release = new GatedRelease(this, options.gate);
    if (options.signal !== undefined) this.#onAbort = () => this.#aborted();
  }

  start(): void {
    const { signal } = this.#options;
    if (signal?.aborted === true) {
      this.#settle({ kind: "not_sent", reason: abortReason(signal) }, "no");
      return;
    }
    if (this.#onAbort !== undefined) signal?.addEventListener("abort", this.#onAbort);
    this.#upstream.acquire(this);
  }

  // The request on its way to the upstream.

  onConnection(connection: UpstreamConnection): void {
    const client = this.#client;
    this.#connection = connection;
    this.#reused = connection.uses > 0;
    connection.use(this);
    this.#phase = "head";
    const { parsed } = client;
    const pieces: Piece[] = [];
    try {
      pieces.push(requestBytes(this.#options.editRequestHead?.(parsed) ?? parsed, parsed, client.localAuthority));
    } catch (error) {
      this.#fail(error);
      return;
    }
    for (const data of client.kept) this.#encode(pieces, data);
    if (client.bodyDone) this.#encodeEnd(pieces, client.bodyTrailers);
    writePieces(connection, pieces);
    this.#responseEndsAt = this.#upstream.deadlines.after(client.limits.responseMs);
    this.#expire(client.limits.firstByteMs);
    if (!client.bodyDone) client.setBodyFlow(this.#congested(connection) ? "paused" : "to_attempt");
  }

  onRefused(reason: string): void {
    this.#settle({ kind: "not_sent", reason }, "no");
  }

  sendBody(data: Bytes): void {
    const connection = this.#connection;
    if (connection === undefined || this.#phase === "complete") return;
    const pieces: Piece[] = [];
    this.#encode(pieces, data);
    writePieces(connection, pieces);
    this.#expire(this.#received ? this.#client.limits.responseIdleMs : this.#client.limits.firstByteMs);
    if (this.#congested(connection)) this.#client.setBodyFlow("paused");
  }

  sendBodyEnd(trailers: HeaderList | undefined): void {
    const connection = this.#connection;
    if (connection === undefined || this.#phase === "complete") return;
    const pieces: Piece[] = [];
    this.#encodeEnd(pieces, trailers);
    if (pieces.length > 0) writePieces(connection, pieces);
  }

  #encode(pieces: Piece[], data: Bytes): void {
    if (this.#client.parsed.framing.kind === "chunked") pushChunk(pieces, data);
    else pieces.push(data);
  }

  #encodeEnd(pieces: Piece[], trailers: HeaderList | undefined): void {
    this.#requestDone = true;
    if (this.#client.parsed.framing.kind === "chunked") pieces.push(lastChunk(trailers));
  }

  #congested(connection: UpstreamConnection): boolean {
    return connection.writableLength > this.#client.limits.writeBufferBytesMax;
  }

  onDrain(): void {
    if (this.#phase !== "complete" && this.#phase !== "settled") this.#client.setBodyFlow("to_attempt");
  }

  // The response on its way to the client.

  onData(chunk: Bytes): void {
    if (this.#phase === "tunnel") {
      this.#expire(this.#client.limits.tunnelIdleMs);
      this.#release.push(chunk);
    } else {
      this.#received = true;
      this.#expire(this.#client.limits.responseIdleMs);
      try {
        this.#readResponse(chunk);
      } catch (error) {
        if (error instanceof ProtocolError) this.#invalid(error);
        else this.#fail(error);
        return;
      }
    }
    this.#release.flush();
    this.#balance();
  }

  #readResponse(chunk: Bytes): void {
    let bytes = chunk;
    if (this.#headBytes !== undefined) {
      bytes = Buffer.concat([this.#headBytes, chunk]);
      this.#headBytes = undefined;
    }
    let at = 0;
    while (this.#phase === "head" && at < bytes.length) {
      const found = readResponse(bytes, at, bytes.length, this.#client.parsed.method, this.#client.limits);
      if (found === undefined) {
        this.#headBytes = at === 0 ? bytes : bytes.subarray(at);
        return;
      }
      at = found.end;
      this.#onHead(found.response);
    }
    if (this.#phase === "tunnel") {
      if (at < bytes.length) this.#release.push(bytes.subarray(at));
      return;
    }
    if (this.#phase === "skip") {
      this.#skipBody(bytes, at);
      return;
    }
    if (this.#reader !== undefined && !this.#reader.done) at = this.#reader.read(bytes, at, this);
    if (this.#reader?.done === true) this.#onResponseEnd(at === bytes.length);
  }

  /** The answer is known with its head. A short body that came with it is read over; for a longer one the connection is given up. */
  #skipBody(bytes: Bytes, at: number): void {
    const end = this.#reader?.read(bytes, at, this) ?? at;
    const clean = this.#reader?.done === true && end === bytes.length;
    this.#giveBack(clean && this.#requestDone && this.#response?.keepAlive === true);
    const reason = this.#response?.headers.get("stead-reason") ?? "the host did not execute the request";
    this.#settle({ kind: "not_executed", bodyHeld: this.#client.bodyHeld, reason }, "no");
  }

  #onHead(response: ParsedResponse): void {
    const { status } = response;
    if (status === 101) this.#onSwitch(response);
    else if (status < 200) this.#onInterim(response);
    else {
      this.#response = response;
      this.#status = status;
      this.#reader = new BodyReader(response.framing, { ...this.#client.limits, bodyBytesMax: Number.MAX_SAFE_INTEGER });
      if (status === 503 && response.headers.get("stead-outcome") === "not-executed") this.#phase = "skip";
      else this.#onFinal(response);
    }
  }

  #onInterim(response: ParsedResponse): void {
    if (++this.#interimCount > this.#client.limits.interimResponsesMax) throw new ProtocolError(400, "too_many_interim_responses", "more interim responses than accepted here");
    if (this.#client.parsed.version === "1.0") return;
    const head = this.#options.editResponseHead?.(response) ?? response;
    this.#release.push(responseBytes(head, response.connectionOptions, noBody, false, undefined));
  }

  #onFinal(response: ParsedResponse): void {
    const client = this.#client;
    const { parsed } = client;
    this.#phase = "body";
    this.#framing = response.framing;
    if (response.framing.kind === "chunked" || response.framing.kind === "close") {
      this.#framing = parsed.version === "1.1" ? chunkedBody : closeDelimitedBody;
      if (this.#framing === closeDelimitedBody) client.closeAfterwards();
    }
    const keepFraming = response.framing.kind === "none" && response.status !== 204;
    const head = this.#options.editResponseHead?.(response) ?? response;
    this.#status = head.status;
    this.#finalPushed = true;
    this.#release.push(responseBytes(head, response.connectionOptions, this.#framing, keepFraming, client.connectionField()));
  }

  #onSwitch(response: ParsedResponse): void {
    const client = this.#client;
    if (client.parsed.upgrade === undefined || response.upgrade === undefined) {
      throw new ProtocolError(400, "switch_not_asked", "the upstream switched protocols without being asked, or does not say to which");
    }
    const head = this.#options.editResponseHead?.(response) ?? response;
    this.#phase = "tunnel";
    this.#status = 101;
    this.#finalPushed = true;
    this.#release.push(responseBytes(head, response.connectionOptions, noBody, false, `Upgrade\r\nUpgrade: ${response.upgrade}`));
    this.#expire(client.limits.tunnelIdleMs);
    const early = client.startTunnel();
    if (early !== undefined) this.onTunnelData(early);
  }

  /** Body of the response. */
  onBody(data: Bytes): void {
    if (this.#phase === "skip") return;
    if (this.#framing.kind === "chunked") {
      if (data.length === 0) return;
      this.#release.push(`${data.length.toString(16)}\r\n`);
      this.#release.push(data);
      this.#release.push("\r\n");
    } else this.#release.push(data);
  }

  onBodyEnd(trailers: HeaderList | undefined): void {
    if (this.#phase !== "skip" && this.#framing.kind === "chunked") this.#release.push(lastChunk(trailers));
  }

  /** The whole response is here. `clean`: not a byte came after it. */
  #onResponseEnd(clean: boolean): void {
    this.#phase = "complete";
    this.#giveBack(clean && this.#requestDone && this.#response?.keepAlive === true);
    this.#release.end(() => this.#settle({ kind: "completed", status: this.#status }, "no"));
  }

  #giveBack(reusable: boolean): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    this.#connection = undefined;
    if (this.#paused) {
      this.#paused = false;
      connection.resume();
    }
    if (reusable) {
      // One second less than the upstream says, so that it is not closing the connection while we use it.
      const keepAliveMs = this.#response?.keepAliveMs;
      if (keepAliveMs !== undefined) connection.idleMsMax = Math.max(1, keepAliveMs - 1000);
      this.#upstream.release(connection);
      return;
    }
    connection.leave();
    connection.destroy("the connection cannot be used again");
  }

  release(pieces: Piece[]): void {
    if (this.#finalPushed && !this.#finalReleased) {
      this.#finalReleased = true;
      this.#client.onFinalReleased();
    }
    this.#interimReleased = true;
    this.#client.write(pieces);
    this.#balance();
  }

  onGateFailed(reason: string): void {
    this.#end(this.#lost(`the gate did not open: ${reason}`), "destroy");
  }

  /** Stops reading from the upstream while the client or the gate is behind. */
  #balance(): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const behind = this.#client.congested || this.#release.waitingBytes > this.#client.limits.writeBufferBytesMax;
    if (behind === this.#paused) return;
    this.#paused = behind;
    if (behind) {
      connection.pause();
      connection.deadlineAt = Infinity;
    } else {
      connection.resume();
      this.#expire(this.#phase === "tunnel" ? this.#client.limits.tunnelIdleMs : this.#client.limits.responseIdleMs);
    }
  }

  onClientDrain(): void {
    this.#balance();
  }

  // Ends.

  onEnd(): void {
    if (this.#phase === "tunnel") {
      this.#upstreamEnded = true;
      this.#release.end(() => {
        this.#client.endTunnel();
        if (this.#clientEnded) this.#settle({ kind: "completed", status: 101 }, "no");
      });
      this.#release.flush();
    } else if (this.#phase === "body" && this.#response?.framing.kind === "close") {
      this.onBodyEnd(undefined);
      this.#onResponseEnd(false);
      this.#release.flush();
    } else this.#end(this.#lost("the upstream closed the connection before its response was complete"), this.#cut());
  }

  onGone(reason: string): void {
    this.#connection = undefined;
    if (this.#phase === "tunnel") {
      // The peer of a tunnel sees an orderly end, so that it connects again (design, section 7).
      this.#release.kill();
      this.#client.endTunnel();
      this.#settle({ kind: "completed", status: 101 }, "no");
      return;
    }
    this.#end(this.#lost(reason), this.#cut());
  }

  onExpired(): void {
    if (this.#phase === "tunnel") {
      this.#giveBack(false);
      this.onGone("the tunnel was unused for too long");
      return;
    }
    const why = this.#received ? "the upstream did not complete its response in time" : "the upstream did not answer in time";
    this.#end(this.#lost(why), this.#cut());
  }

  onClientGone(): void {
    if (this.#phase === "settled") return;
    if (this.#phase === "tunnel") this.#end({ kind: "completed", status: 101 }, "no");
    else this.#end({ kind: "client_gone" }, "no");
  }

  onTunnelData(data: Bytes): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    connection.write(data);
    this.#expire(this.#client.limits.tunnelIdleMs);
    if (this.#congested(connection)) this.#client.setBodyFlow("paused");
  }

  onTunnelClientEnd(): void {
    this.#clientEnded = true;
    this.#connection?.end();
    if (this.#upstreamEnded) this.#end({ kind: "completed", status: 101 }, "no");
  }

  #aborted(): void {
    const { signal } = this.#options;
    const reason = signal === undefined ? "ended" : abortReason(signal);
    if (this.#phase === "waiting") this.#end({ kind: "not_sent", reason }, "no");
    else if (this.#phase === "tunnel") this.#end({ kind: "completed", status: 101 }, "destroy");
    else this.#end(this.#lost(reason), this.#finalReleased ? "destroy" : "no");
  }

  #invalid(error: ProtocolError): void {
    this.#upstream.reportError(`invalid response: ${error.message}`);
    if (this.#finalReleased) this.#end(this.#lost(`invalid response: ${error.message}`), this.#cut());
    else this.#end({ kind: "upstream_invalid", reason: error.message }, "no");
  }

  /** An owner's function threw: a programming error, which belongs to whoever called `forward`. */
  #fail(error: unknown): void {
    this.#reject(error);
    this.#end({ kind: "client_gone" }, "destroy");
  }

  #lost(reason: string): ForwardOutcome {
    if (this.#phase !== "complete") this.#upstream.reportError(reason);
    return {
      kind: "lost",
      released: this.#finalReleased || this.#interimReleased,
      bodyHeld: this.#client.bodyHeld,
      reused: this.#reused && !this.#received,
      reason,
    };
  }

  #cut(): "no" | "destroy" | "reset" {
    if (!this.#finalReleased) return "no";
    return this.#framing.kind === "close" ? "reset" : "destroy";
  }

  #end(outcome: ForwardOutcome, cut: "no" | "destroy" | "reset"): void {
    if (this.#phase === "settled") return;
    this.#release.kill();
    if (this.#phase === "waiting") this.#upstream.cancel(this);
    this.#giveBack(false);
    this.#settle(outcome, cut);
  }

  #settle(outcome: ForwardOutcome, cut: "no" | "destroy" | "reset"): void {
    if (this.#phase === "settled") return;
    this.#phase = "settled";
    this.#giveBack(false);
    if (this.#onAbort !== undefined) this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#client.onAttemptSettled(outcome, cut);
    this.#resolve(outcome);
  }

  #expire(ms: number): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    connection.expire(ms);
    if (connection.deadlineAt > this.#responseEndsAt) connection.deadlineAt = this.#responseEndsAt;
  }
}

function abortReason(signal: AbortSignal): string {
  const { reason } = signal as { reason: unknown };
  return reason instanceof Error ? reason.message : String(reason);
}
