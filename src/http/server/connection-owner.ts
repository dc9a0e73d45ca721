/** The ports between a client connection and its server, so that neither file imports the other. */
import type { Deadlines } from "../../runtime/deadlines.ts";
import type { Exchange, Handling } from "../upstream/exchange.ts";
import type { HttpLimits } from "../limits.ts";
import type { BodySpool } from "../spool/body-spool.ts";
import type { ProtocolError } from "../message/protocol-error.ts";
import type { RandomNames } from "../../runtime/random-names.ts";
import type { ServerExchange } from "./server-exchange.ts";

/**
 * How to treat a client that has ended its side of the connection: it may be gone, or may still read (half-close); TCP
 * shows both alike. `gone`: as in nginx, Caddy and Envoy, because browsers and load balancers end that way and hardly
 * any client half-closes. `serve`: it gets its answer.
 */
export type HalfClose = "gone" | "serve";

export interface ConnectionOwner {
  readonly limits: HttpLimits;
  readonly deadlines: Deadlines;
  /** Body bytes kept for replays, of all connections. */
  readonly keptBytes: { total: number };
  /** For bodies that are too long for that. */
  readonly spool: BodySpool | undefined;
  readonly isDraining: boolean;
  /** While draining: a client that was not told of its connection's end may send one more request. */
  readonly mayServeOnceMore: boolean;
  /** How to treat a client that has ended its side. */
  readonly halfClose: HalfClose;
  readonly names: RandomNames;
  wallTime(): number;
  /** `handle`: of the connection's listener, in place of the owner's. */
  onExchange(exchange: ServerExchange, handle?: (exchange: Exchange) => Handling): Handling;
  onExchangeEnd(exchange: ServerExchange): void;
  onProtocolError(error: ProtocolError, remoteAddress: string): void;
  onHandlerError(error: unknown): void;
  onConnectionClosed(connection: OwnedConnection): void;
  /** A load balancer has named the client of a connection. False: that client has too many. */
  onClientNamed(connection: NamedConnection, address: string): boolean;
}

/** A connection whose client became known after it was accepted. */
export interface NamedConnection extends OwnedConnection {
  countedAddress: string;
}

/** A connection for its server. */
export interface OwnedConnection {
  /** The address under which it counts (admission.ts): of the other end, or of the client that a balancer named. */
  readonly countedAddress: string;
  /** Since when it has waited for a request or its rest, monotonic milliseconds; Infinity: it does not. */
  readonly idleSince: number;
  /** Closes the connection if it is idle; otherwise the current exchange is the last. */
  drain(): void;
  /** Ends the connection now; no further byte is written. */
  abort(how: "destroy" | "reset"): void;
}
