/** What a client connection needs of its server. */
import type { ClientConnection } from "./client-connection.ts";
import type { Deadlines } from "./deadlines.ts";
import type { HttpLimits } from "./limits.ts";
import type { ProtocolError } from "./protocol-error.ts";
import type { ServerExchange } from "./server-exchange.ts";

export interface ConnectionOwner {
  readonly limits: HttpLimits;
  readonly deadlines: Deadlines;
  /** Body bytes kept for replays, of all connections. */
  readonly keptBytes: { total: number };
  readonly draining: boolean;
  wallTime(): number;
  onExchange(exchange: ServerExchange): Promise<void>;
  onExchangeEnd(exchange: ServerExchange): void;
  onProtocolError(error: ProtocolError, remoteAddress: string): void;
  onHandlerError(error: unknown): void;
  onConnectionClosed(connection: ClientConnection): void;
}
