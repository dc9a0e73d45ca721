/** Reports of the request loop about its requests. */
import type { Exchange } from "../upstream/exchange.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { RequestEnd, TracedRequest } from "./request-trace.ts";

export interface ProxyHooks {
  /** A request is finished. `held`: it waited for a primary. `replays`: how often it was resent. */
  onDone?(end: RequestEnd, held: boolean, replays: number): void;
  /** A host answered with what its application had answered to an earlier try. */
  onRecorded?(): void;
  /** A request that waited or was resent is finished, and its client records a trace. Undefined: it is not told. */
  onTraced?: ((request: TracedRequest) => void) | undefined;
  /** This proxy answered a request instead of the application. */
  onRefused?(exchange: Exchange, status: number, code: string, why: string): void;
  /** The upstream refused a connection or lost a request: a reason to probe it at once. */
  onConnectionError?(upstream: Upstream, reason: string): void;
}
