/**
 * The receiver of decisions about a service's route: the data plane of this process (local-route.ts), or worker
 * processes (workers/worker-route.ts).
 */
import type { Maintenance } from "../../http/proxy/route.ts";
import type { HeardOfHost } from "../../http/upstream/upstream.ts";
import type { RequestEnd, TracedRequest } from "../../http/proxy/request-trace.ts";

export interface ServiceRoute {
  /** The host that gets requests now. */
  readonly host: string | undefined;
  /** Requests that wait for a primary. */
  readonly waiting: { readonly requests: number; readonly bytes: number };
  /**
   * Sends requests there, waiting ones first. Another epoch is another upstream. Epoch undefined: a plain host.
   * `heard`: what the host has said of itself so far.
   */
  route(host: string, dataUrl: string, epoch: number | undefined, heard?: HeardOfHost): void;
  /** The host that gets requests has said more of itself, in this epoch. */
  heard(epoch: number, heard: HeardOfHost): void;
  /** Whether the host that gets requests may be gone, so that another one may replace it soon or later. */
  doubt(isDoubted: boolean): void;
  /** Makes new requests wait; those in flight continue. */
  holdRequests(): void;
  /** Ends every connection to a host that is no longer primary. */
  abortHost(host: string, reason: string): void;
  /** The port of the last known primary refuses connections, and no host can take over: waits for the port. */
  waitForPort(): void;
  /** Answers every request with the maintenance page, waiting ones too; undefined: no longer. */
  maintain(maintenance: Maintenance | undefined): void;
  close(): void;
}

/** Reports of the data plane about one service's requests. */
export interface RouteHooks {
  /** `count` requests ended with the same outcome. */
  onDone(end: RequestEnd, held: boolean, replays: number, count: number): void;
  /** A request waited or was resent, and its client records a trace. Undefined: spans go nowhere. */
  onTraced?: ((request: TracedRequest) => void) | undefined;
  /** The routed host refused a connection or lost a request: a reason to probe it at once. */
  onConnectionError(host: string, cause: string): void;
}
