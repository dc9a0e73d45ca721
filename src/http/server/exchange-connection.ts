/** What an exchange needs of the connection that it came on. */
import type { Buffer } from "node:buffer";
import type { Piece } from "../../runtime/tcp/tcp.ts";
import type { Handling } from "../upstream/exchange.ts";
import type { HttpLimits } from "../limits.ts";
import type { RandomNames } from "../../runtime/random-names.ts";
import type { ServerExchange } from "./server-exchange.ts";

/** What an exchange needs of its server. */
export interface ExchangeOwner {
  readonly limits: HttpLimits;
  /** Body bytes kept for replays, of all exchanges. */
  readonly keptBytes: { total: number };
  readonly names: RandomNames;
  wallTime(): number;
}

/** What an exchange needs of its connection. */
export interface ExchangeConnection {
  readonly owner: ExchangeOwner;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAuthority: string;
  readonly client: object;
  readonly secure: boolean;
  readonly congested: boolean;
  readonly isClear: boolean;
  /** The server is ending, or the client can send nothing more. */
  readonly lastExchange: boolean;
  write(pieces: readonly Piece[]): void;
  /** The exchange's handler has done its part when `rest` is undefined or resolves. */
  onHandling(exchange: ServerExchange, rest: Handling): void;
  /** The exchange may be finished now; the connection asks it what it has become. */
  onProgress(): void;
  updateFlow(): void;
  startTunnel(): Buffer | undefined;
  endTunnel(): void;
  cut(how: "destroy" | "reset"): void;
}
