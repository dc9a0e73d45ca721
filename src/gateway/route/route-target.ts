/**
 * Where the decision about a service's route goes: to the data plane of this process (service-route.ts), or to worker
 * processes (workers/pool-route.ts).
 */
import type { RequestEnd } from "../../http/proxy/proxy.ts";

export interface RouteTarget {
  /** The host that gets requests now. */
  readonly host: string | undefined;
  /** Requests that wait for a primary. */
  readonly waiting: { readonly requests: number; readonly bytes: number };
  /** Send requests there, those that wait first. Another epoch is another upstream. Epoch undefined: a plain host. */
  route(host: string, dataUrl: string, epoch: number | undefined): void;
  /** New requests wait; those in flight go on. */
  holdRequests(): void;
  /** Ends every connection to a host that is no longer primary. */
  drop(host: string, reason: string): void;
  /** The port of the last known primary refuses, and no host can take over: wait for the port. */
  waitForPort(): void;
  close(): void;
}

/** What the data plane tells of one service's requests. */
export interface RouteHooks {
  /** `count` requests are over, in the same way. */
  onDone(end: RequestEnd, held: boolean, replays: number, count: number): void;
  /** The host that has the route refused a connection or lost a request: a reason to look at it at once. */
  onConnectionError(host: string, cause: string): void;
}
