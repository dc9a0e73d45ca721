/**
 * Connections beyond the bound of a server whose clients must be told that nothing was executed: a host's front, whose
 * gateways would take a reset for a request that the application may have had.
 *
 * Such a connection is read like any other, its one request gets the refusal, and it is closed. There are few of them
 * at a time, and each has little time: they need descriptors of the process's reserve (descriptor-room.ts). Beyond
 * that a new connection is reset, as it would be without this.
 */
import type { Deadlines } from "../../runtime/deadlines.ts";
import type { RandomNames } from "../../runtime/random-names.ts";
import type { TcpSocket } from "../../runtime/tcp/tcp.ts";
import type { HttpLimits } from "../limits.ts";
import type { ProtocolError } from "../message/protocol-error.ts";
import type { Exchange, Handling } from "../upstream/exchange.ts";
import { ClientConnection } from "./client-connection.ts";
import type { ConnectionOwner, HalfClose, OwnedConnection } from "./connection-owner.ts";

/** A quarter of the reserve of descriptors. */
const overflowMax = 32;
/** Limit for a request head. */
const overflowMsMax = 1_000;

export class Overflow implements ConnectionOwner {
  readonly limits: HttpLimits;
  readonly deadlines: Deadlines;
  readonly keptBytes: { total: number };
  readonly spool = undefined;
  readonly names: RandomNames;
  readonly halfClose: HalfClose;
  /** Each response is the last of its connection. */
  readonly isDraining = true;
  readonly mayServeOnceMore = false;
  readonly #server: ConnectionOwner;
  readonly #refuse: (exchange: Exchange) => Handling;
  readonly #connections = new Set<OwnedConnection>();

  constructor(server: ConnectionOwner, refuse: (exchange: Exchange) => Handling) {
    const { deadlines, keptBytes, names, halfClose, limits } = server;
    this.limits = {
      ...limits,
      firstRequestMs: Math.min(limits.firstRequestMs, overflowMsMax),
      headArrivalMs: Math.min(limits.headArrivalMs, overflowMsMax),
    };
    this.deadlines = deadlines;
    this.keptBytes = keptBytes;
    this.names = names;
    this.halfClose = halfClose;
    this.#server = server;
    this.#refuse = refuse;
  }

  /** False: there is no room for it either. */
  take(socket: TcpSocket): boolean {
    if (this.#connections.size >= overflowMax) return false;
    this.#connections.add(new ClientConnection(this, socket, { secure: false, proxyHeaderDue: false }));
    return true;
  }

  abort(): void {
    for (const connection of [...this.#connections]) connection.abort("destroy");
  }

  wallTime(): number {
    return this.#server.wallTime();
  }

  onExchange(exchange: Exchange): Handling {
    return this.#refuse(exchange);
  }

  onExchangeEnd(): void {
    // It is not one of the server's: it was refused.
  }

  onProtocolError(error: ProtocolError, remoteAddress: string): void {
    this.#server.onProtocolError(error, remoteAddress);
  }

  onHandlerError(error: unknown): void {
    this.#server.onHandlerError(error);
  }

  onConnectionClosed(connection: OwnedConnection): void {
    this.#connections.delete(connection);
  }

  onClientNamed(): boolean {
    return true;
  }
}
