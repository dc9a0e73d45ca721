/** One request of a client and the operations on it: the port between the data plane and its owners. */
import type { Buffer } from "node:buffer";
import type { LossCause } from "../../core/replay.ts";
import type { NamedRequest } from "../../core/request-names.ts";
import type { Rules } from "../../core/rules.ts";
import type { CancellationGroup } from "../../runtime/cancellation-group.ts";
import type { RequestHead, ResponseHead } from "../message/head.ts";
import type { HeaderList } from "../message/headers.ts";
import type { HttpLimits } from "../limits.ts";
import type { ParsedRequest } from "../message/read-request.ts";
import type { SpooledBody } from "../spool/spooled-body.ts";
import type { Piece } from "../../runtime/tcp/tcp.ts";
import type { PinnedConnections } from "./pinned-connections.ts";
import type { Upstream } from "./upstream.ts";
import type { WholeAnswers } from "./whole-answers.ts";

export type { RequestHead, ResponseHead } from "../message/head.ts";

export type EditRequestFields = (headers: HeaderList, exchange: Exchange) => HeaderList;

export interface LocalReply {
  readonly status: number;
  /** Default: the standard phrase. */
  readonly reason?: string;
  /** Content-Length, Transfer-Encoding, Connection and Date are set by the server. */
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string | Uint8Array;
}

/** Keeps a copy of one answer of an upstream, as it arrives. */
export interface AnswerRecorder {
  onBody(bytes: Buffer, from: number, to: number): void;
  /** The answer is complete, and its end has not been released. It is called before the gate is asked for that end. */
  onComplete(trailers: HeaderList | undefined): void;
}

export interface ForwardOptions {
  /**
   * Awaited before any chunk is released to the client: status lines including 1xx, body, trailers, tunnel bytes, and
   * the end if it carries information. It is called after the chunk has arrived. Returning undefined releases at once,
   * without a turn of the event loop. If it throws or rejects, nothing more is released and the client connection is
   * destroyed.
   */
  readonly gate?: () => void | Promise<void>;
  /** Default: all. */
  readonly rules?: Rules;
  /** Edits the fields for the upstream; framing and hop-by-hop fields are set afterwards and cannot be changed. */
  readonly editRequestFields?: EditRequestFields;
  /** Edits the fields for the client; called for interim responses too. */
  readonly editResponseFields?: (head: ResponseHead) => HeaderList;
  /**
   * True (default) if the upstream is a host, whose `Stead-Outcome` is an outcome and not a response. False towards an
   * application, whose fields are always its own response.
   */
  readonly upstreamIsHost?: boolean;
  /**
   * Asked when the upstream ends a response that only the end of its connection completes. True: the upstream itself is
   * ending, and the response is lost. Default: such a response is complete.
   */
  readonly isUpstreamEnding?: (request: RequestHead) => boolean;
  /** Lets short answers leave whole. Undefined: every part leaves as soon as it may. */
  readonly wholeAnswers?: WholeAnswers;
  /** Returns the name that a host gets with a request (core/request-names.ts); undefined: none. */
  readonly nameRequest?: (request: RequestHead, upstream: Upstream) => NamedRequest | undefined;
  /** Asked at the head of a final answer, with its fields as they go to the client; undefined: it is not recorded. */
  readonly recordAnswer?: (request: RequestHead, head: ResponseHead) => AnswerRecorder | undefined;
  /**
   * Asked when the client of a request that was sent is gone. True: its answer is read to its end for `recordAnswer`,
   * and the attempt ends with `client-gone` then. Default: it ends at once.
   */
  readonly outlivesClient?: (request: RequestHead) => boolean;
  /** Limit for the first byte of the final response to this target; undefined: as in the limits. */
  readonly firstByteMs?: (target: string) => number | undefined;
  /** Ends the attempt at once, together with those of other exchanges; no byte is released after it. */
  readonly cancellation?: CancellationGroup;
}

export type ForwardOutcome =
  /**
   * Answered as far as the client read it; 101 after the end of a tunnel. `isRecorded`: a host answered with what its
   * application had answered to an earlier try.
   */
  | { readonly kind: "completed"; readonly status: number; readonly isRecorded?: boolean }
  /** No byte of the request was written. */
  | { readonly kind: "not-sent"; readonly reason: string }
  /** The upstream answered 503 with `Stead-Outcome: not-executed`; no byte of a final response was released. */
  | { readonly kind: "not-executed"; readonly bodyHeld: boolean; readonly reason: string }
  /**
   * The request was sent at least in part and there is no complete response, or the host answered for its application
   * with 502 and `Stead-Outcome: unknown`. `released`: at least one byte of a final response went to the client, whose
   * connection is then destroyed. `reused`: the connection had been used before and broke before any byte of a
   * response.
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
   * The host did not execute the request and wants it not to be resent for a while; no byte of a final response was
   * released.
   */
  | { readonly kind: "put-aside"; readonly retryAfterSeconds: number; readonly reason: string }
  /** The upstream broke RFC 9112; `reason` names the rule and section. Nothing of that response was released. */
  | { readonly kind: "upstream-invalid"; readonly reason: string }
  | { readonly kind: "client-gone" };

/** The rest of a handler's work: undefined if there is none, or if a `ForwardUser` takes over. */
export type Handling = Promise<void> | undefined;

/** The receiver of the outcome of `forwardTo`. */
export interface ForwardUser {
  /** Called once. The exchange is over once nothing is left to do. */
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
  readonly isSecure: boolean;
  /** The client's `X-Request-Id`, or a random one; always the same for one exchange. */
  readonly requestId: string;
  /** Aborted when the client's connection is gone; made when it is asked for. */
  readonly clientGone: AbortSignal;
  readonly isClientGone: boolean;
  /** A part of a response has gone to the client: only the end of its connection can follow, no other response. */
  readonly hasResponseStarted: boolean;
  /** Bytes of the request's body that have arrived. */
  readonly bodyBytes: number;
  /** Most bytes of the request's body that can be kept while it waits, for accounting. */
  readonly bodyBytesHeldMax: number;
  /** All body bytes that arrived are still kept, so that `forward` can send the request from its start. */
  readonly isBodyHeld: boolean;
  /**
   * Resolves with the request's body once it has arrived; undefined: it is longer than is kept, it waits for 100
   * (Continue), or the client is gone.
   */
  wholeBody(): Promise<readonly Buffer[] | undefined>;
  /** Answers the request itself. The connection stays usable if the rest of the request's body is small. */
  respond(response: LocalReply): Promise<void>;
  /**
   * Sends the request to `upstream` and its response to the client. May be called again while `bodyHeld` and not
   * `hasResponseStarted`.
   */
  forward(upstream: Upstream, options: ForwardOptions): Promise<ForwardOutcome>;
  /** Callback form of `forward` for the hot path; allocates no promise. */
  forwardTo(upstream: Upstream, options: ForwardOptions, user: ForwardUser): void;
  /** Ends the client connection without another byte. */
  abort(): void;
}

/** What happens to the client connection; `reset` if an orderly end would make an incomplete response look complete. */
export type CloseMode = "no" | "destroy" | "reset";

/** The client connection of an exchange, for an attempt. */
export interface AttemptConnection {
  /** More bytes wait for the client than `writeBufferBytesMax`. */
  readonly isCongested: boolean;
  /** No byte written to the client is held any more. */
  readonly isClear: boolean;
  /** Address that the client connected to, for requests of HTTP/1.0 without Host. */
  readonly localAuthority: string;
  /** Set once a connection of this client may have been logged in (pinned-connections.ts). */
  pinned: PinnedConnections | undefined;
  /** Ends our side of the tunnel. */
  endTunnel(): void;
}

/** Receives what the client sends after a 101. */
export interface ClientTunnel {
  sendData(data: Buffer): void;
  sendEnd(): void;
}

/** An exchange, for an attempt to answer it. */
export interface AttemptClient extends Exchange {
  readonly request: ParsedRequest;
  readonly limits: HttpLimits;
  readonly connection: AttemptConnection;
  /** Body bytes that arrived before the attempt, unless they are in a file. */
  readonly kept: readonly Buffer[];
  /** Undefined: the body is not in a file. */
  readonly spooled: SpooledBody | undefined;
  readonly isBodyDone: boolean;
  /** An attempt has passed on a 100 (Continue). */
  hasContinued: boolean;
  readonly bodyTrailers: HeaderList | undefined;
  write(pieces: readonly Piece[]): void;
  /** A final head has been sent to the client. */
  onFinalReleased(status: number): void;
  /** The response ends with the connection. */
  closeAfterwards(): void;
  /** Value of Connection in a final response. */
  connectionField(): string | undefined;
  /** Whether the attempt takes the client's bytes from now on (`sendBody`), or cannot take more for the moment. */
  setBodyFlow(flow: "to-attempt" | "paused"): void;
  /** The connection has become a tunnel: the client's bytes go to `tunnel`, those already received first. */
  startTunnel(tunnel: ClientTunnel): void;
  /**
   * A function of an owner threw: a programming error, which is reported to the caller of `forward`. `onAttemptSettled`
   * follows.
   */
  onAttemptFailed(error: unknown): void;
  /** The last call. */
  onAttemptSettled(outcome: ForwardOutcome, cut: CloseMode): void;
}
