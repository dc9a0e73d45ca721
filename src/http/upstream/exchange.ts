/** One request of a client and everything that can be done about it. The port between the data plane and its owners. */
import type { Buffer } from "node:buffer";
import type { LossCause } from "../../core/replay.ts";
import type { CancellationGroup } from "../../runtime/cancellation-group.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/headers.ts";
import type { HttpLimits } from "../limits.ts";
import type { ParsedRequest } from "../message/read-request.ts";
import type { Piece } from "../../runtime/tcp/tcp.ts";
import type { Upstream } from "./upstream.ts";

export type { RequestHead, ResponseHead } from "../message/head.ts";

export type EditRequestFields = (headers: HeaderList, exchange: Exchange) => HeaderList;

export interface OwnResponse {
  readonly status: number;
  /** Default: the standard phrase. */
  readonly reason?: string;
  /** Content-Length, Transfer-Encoding, Connection and Date are set by the server. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string | Uint8Array;
}

export interface ForwardOptions {
  /**
   * Awaited before any chunk is released to the client: status lines including 1xx, body, trailers, tunnel bytes, and
   * the end where the end itself says something. It is called after the chunk has arrived. Returning undefined releases
   * at once, without a turn of the event loop. When it throws or rejects, nothing more is released and the client
   * connection is destroyed.
   */
  readonly gate?: () => void | Promise<void>;
  /** Changes what fields the upstream gets; framing and hop-by-hop fields are set afterwards and cannot be changed. */
  readonly editRequestFields?: EditRequestFields;
  /** Changes what fields the client gets; called for interim responses too. */
  readonly editResponseFields?: (head: ResponseHead) => HeaderList;
  /**
   * The upstream is a host, so that its `Stead-Outcome` is an outcome and not a response. Default true. False towards
   * an application: what it says there is its own response, whatever it means by it.
   */
  readonly upstreamIsHost?: boolean;
  /** How long the first byte of the final response to this target may take; undefined: as the limits say. */
  readonly firstByteMs?: (target: string) => number | undefined;
  /** Ends the attempt at once, with those of other exchanges; not a byte is released after it. */
  readonly cancellation?: CancellationGroup;
}

export type ForwardOutcome =
  /** Answered as far as the client took it; 101 when a tunnel has ended. */
  | { readonly kind: "completed"; readonly status: number }
  /** Not a byte of the request was written. */
  | { readonly kind: "not-sent"; readonly reason: string }
  /** The upstream answered 503 with `Stead-Outcome: not-executed`; no byte of a final response was released. */
  | { readonly kind: "not-executed"; readonly bodyHeld: boolean; readonly reason: string }
  /**
   * The request was sent at least in part and there is no complete response, or the host answered for its application
   * with 502 and `Stead-Outcome: unknown`. `released`: at least one byte of a response went to the client (its
   * connection is destroyed then, unless it was only an interim one). `reused`: the connection had served before and
   * broke before any byte of a response.
   */
  | {
      readonly kind: "lost";
      readonly released: boolean;
      readonly bodyHeld: boolean;
      readonly reused: boolean;
      readonly cause: LossCause;
      readonly reason: string;
    }
  /**
   * The host did not execute it and wants it not to be sent again for a while; no byte of a final response was
   * released.
   */
  | { readonly kind: "put-aside"; readonly retryAfterSeconds: number; readonly reason: string }
  /** The upstream broke RFC 9112, which `reason` says with the section; nothing of that response was released. */
  | { readonly kind: "upstream-invalid"; readonly reason: string }
  | { readonly kind: "client-gone" };

/** What is left of a handler's work: undefined when nothing is, or when a `ForwardUser` takes over. */
export type Handling = Promise<void> | undefined;

/** Who is told what came of `forwardTo`. */
export interface ForwardUser {
  /** Called once. The exchange is over when nothing is left to do. */
  onOutcome(exchange: Exchange, upstream: Upstream, outcome: ForwardOutcome): Handling;
}

export interface Exchange {
  readonly request: RequestHead;
  /** Numeric address of the client's end of the connection. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The same object for all requests of a client connection, as long as its address is the same. */
  readonly client: object;
  /** The client came over TLS. */
  readonly secure: boolean;
  /** The client's `X-Request-Id`, or a random one; always the same for one exchange. */
  readonly requestId: string;
  /** Aborted when the client's connection is gone. */
  readonly clientGone: AbortSignal;
  /** Something of a response has gone to the client: only the client connection's end can follow, no other response. */
  readonly responseStarted: boolean;
  /** Of the request's body so many bytes have come. */
  readonly bodyBytes: number;
  /** Most bytes of the request's body that can be kept while it waits, for accounting. */
  readonly bodyBytesHeldMax: number;
  /** All body bytes that came are still kept, so that `forward` can send the request from its start. */
  readonly bodyHeld: boolean;
  /** Answers the request itself. The connection stays usable when the rest of the request's body is small. */
  respond(response: OwnResponse): Promise<void>;
  /**
   * Sends the request to `upstream` and its response to the client. May be called again while `bodyHeld` and not
   * `responseStarted`.
   */
  forward(upstream: Upstream, options: ForwardOptions): Promise<ForwardOutcome>;
  /** Callback form of `forward` for the hot path; allocates no promise. */
  forwardTo(upstream: Upstream, options: ForwardOptions, user: ForwardUser): void;
  /** Ends the client connection without another byte. */
  destroy(): void;
}

/**
 * What becomes of the client connection; `reset` where an orderly end would make an incomplete response look complete.
 */
export type CloseMode = "no" | "destroy" | "reset";

/** The client connection of an exchange, as an attempt needs it. */
export interface AttemptConnection {
  /** More bytes wait for the client than `writeBufferBytesMax`. */
  readonly congested: boolean;
  /** Nothing that was written to the client is held any more. */
  readonly isClear: boolean;
  /** Address that the client connected to, for requests of HTTP/1.0 without Host. */
  readonly localAuthority: string;
  /** Ends our side of the tunnel. */
  endTunnel(): void;
}

/** What the client sends after a 101 goes to it. */
export interface ClientTunnel {
  sendData(data: Buffer): void;
  sendEnd(): void;
}

/** An exchange as an attempt to answer it needs it. */
export interface AttemptClient extends Exchange {
  readonly request: ParsedRequest;
  readonly limits: HttpLimits;
  readonly connection: AttemptConnection;
  /** Body bytes that came before the attempt. */
  readonly kept: readonly Buffer[];
  readonly bodyDone: boolean;
  readonly bodyTrailers: HeaderList | undefined;
  write(pieces: readonly Piece[]): void;
  /** A final head is on its way to the client. */
  onFinalReleased(status: number): void;
  /** The response ends with the connection. */
  closeAfterwards(): void;
  /** Value of Connection in a final response. */
  connectionField(): string | undefined;
  /** The attempt takes what the client sends from now on (`sendBody`), or cannot take more for the moment. */
  setBodyFlow(flow: "to-attempt" | "paused"): void;
  /** The connection has become a tunnel: what the client sends goes to `tunnel`, what it has sent already first. */
  startTunnel(tunnel: ClientTunnel): void;
  /**
   * An owner's function threw: a programming error, which is reported to the caller of `forward`. `onAttemptSettled`
   * follows.
   */
  onAttemptFailed(error: unknown): void;
  /** The last call. */
  onAttemptSettled(outcome: ForwardOutcome, cut: CloseMode): void;
}
