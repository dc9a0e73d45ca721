/** The client's side of an exchange, as far as an attempt to answer it needs it. */
import type { Buffer } from "node:buffer";
import type { Exchange, ForwardOutcome } from "./exchange.ts";
import type { HeaderList } from "../message/headers.ts";
import type { HttpLimits } from "../limits.ts";
import type { Piece } from "../../runtime/tcp/tcp.ts";
import type { ParsedRequest } from "../message/read-request.ts";

/** What becomes of the client connection; `reset` where an orderly end would make an incomplete response look complete. */
export type Cut = "no" | "destroy" | "reset";

export interface AttemptClient {
  readonly exchange: Exchange;
  readonly parsed: ParsedRequest;
  readonly limits: HttpLimits;
  /** Address the client connected to, for requests of HTTP/1.0 without Host. */
  readonly localAuthority: string;
  /** Body bytes that came before the attempt. */
  readonly kept: readonly Buffer[];
  readonly bodyDone: boolean;
  readonly bodyTrailers: HeaderList | undefined;
  readonly bodyHeld: boolean;
  /** More bytes wait for the client than `writeBufferBytesMax`. */
  readonly congested: boolean;
  /** Nothing that was written to the client is held any more. */
  readonly isClear: boolean;
  write(pieces: readonly Piece[]): void;
  /** A final head is on its way to the client. */
  onFinalReleased(status: number): void;
  /** The response ends with the connection. */
  closeAfterwards(): void;
  /** Value of Connection in a final response. */
  connectionField(): string | undefined;
  /** The attempt takes what the client sends from now on (`sendBody`), or cannot take more for the moment. */
  setBodyFlow(flow: "to_attempt" | "paused"): void;
  /** The connection has become a tunnel: what the client sends goes to `sendTunnelData`. Returns what it has sent already. */
  startTunnel(): Buffer | undefined;
  /** Ends our side of the tunnel. */
  endTunnel(): void;
  /** An owner's function threw: a programming error, which is reported to the caller of `forward`. `onAttemptSettled` follows. */
  onAttemptFailed(error: unknown): void;
  /** The last call. */
  onAttemptSettled(outcome: ForwardOutcome, cut: Cut): void;
}
