/** What a client connection needs of its server. */
import type { Deadlines } from "./deadlines.ts";
import type { Handling } from "./exchange.ts";
import type { HttpLimits } from "./limits.ts";
import type { ProtocolError } from "./protocol-error.ts";
import type { RandomNames } from "./random-names.ts";
import type { ServerExchange } from "./server-exchange.ts";

export interface ConnectionOwner {
  readonly limits: HttpLimits;
  readonly deadlines: Deadlines;
  /** Body bytes kept for replays, of all connections. */
  readonly keptBytes: { total: number };
  readonly draining: boolean;
  readonly names: RandomNames;
  wallTime(): number;
  onExchange(exchange: ServerExchange): Handling;
  onExchangeEnd(exchange: ServerExchange): void;
  onProtocolError(error: ProtocolError, remoteAddress: string): void;
  onHandlerError(error: unknown): void;
  onConnectionClosed(connection: OwnedConnection): void;
}

/** A connection as its server sees it. */
export interface OwnedConnection {
  /** Address of the other end, whoever speaks through it. */
  readonly peerAddress: string;
  /** Closes when nothing is going on; otherwise the current exchange is the last. */
  drain(): void;
  /** Ends now; not a byte more is written. */
  cut(how: "destroy" | "reset"): void;
}
