/**
 * The connections of an API's listener: bounded in number, and in time wherever a client could keep one for nothing.
 *
 * A connection counts from accept. Until its first request head is complete it has `firstHeadMs`, however slowly bytes
 * arrive; a body has `bodyMs`; then it may wait `idleMs` for the end of the next head. What the API sends (a status
 * stream, the phases of an order) has no limit here. At a bound, the connections that have waited for a request the
 * longest make room; if all have one, the new connection is refused.
 *
 * The caller is not known here: the limits are for clients without credentials.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Clock, Timer } from "../../runtime/clock.ts";

export interface ApiLimits {
  readonly connectionsMax: number;
  /** Not for loopback addresses, where all processes of one machine are one address. */
  readonly connectionsPerAddressMax: number;
  /** From accept to the end of the first request head. */
  readonly firstHeadMs: number;
  /** From the end of a head to the end of its body. */
  readonly bodyMs: number;
  /** From the end of a response to the end of the next head. */
  readonly idleMs: number;
}

/** Gateways keep one stream and one probe per host, and one connection per peer. */
export const apiLimits: ApiLimits = {
  connectionsMax: 512,
  connectionsPerAddressMax: 128,
  firstHeadMs: 5_000,
  bodyMs: 15_000,
  idleMs: 60_000,
};

interface Connection {
  /** Of TLS, once its handshake is done. */
  socket: Socket;
  readonly name: string;
  readonly address: string;
  /** Since when it has waited for a request; undefined: it has one. */
  waitingSince: number | undefined;
  deadline: Timer | undefined;
}

export class ApiConnections {
  readonly #clock: Clock;
  readonly #limits: ApiLimits;
  /** By the address and port of the other side: the socket of a connection is another one after a handshake. */
  readonly #open = new Map<string, Connection>();

  constructor(clock: Clock, limits: ApiLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get size(): number {
    return this.#open.size;
  }

  /** False: it was refused, and is closed. */
  admit(socket: Socket): boolean {
    const address = socket.remoteAddress ?? "";
    if (!this.#hasRoomFor(address)) {
      socket.destroy();
      return false;
    }
    const connection: Connection = {
      socket,
      name: nameOf(socket),
      address,
      waitingSince: undefined,
      deadline: undefined,
    };
    this.#open.set(connection.name, connection);
    socket.once("close", () => this.#remove(connection));
    this.#wait(connection, this.#limits.firstHeadMs);
    return true;
  }

  /** The handshake of a connection is done. False: it is not open any more. */
  onSecured(socket: Socket): boolean {
    const connection = this.#open.get(nameOf(socket));
    if (connection === undefined) return false;
    connection.socket = socket;
    socket.once("close", () => this.#remove(connection));
    return true;
  }

  /** A request head is complete. */
  onRequest(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#open.get(nameOf(request.socket));
    if (connection === undefined) return;
    connection.waitingSince = undefined;
    connection.deadline?.cancel();
    if (hasBody(request)) {
      // A handler that needs no body may leave it unread, and take long: what counts is that it has arrived.
      connection.deadline = this.#clock.setTimer(this.#limits.bodyMs, () => {
        if (!request.complete && connection.waitingSince === undefined) connection.socket.destroy();
      });
    }
    response.once("close", () => this.#wait(connection, this.#limits.idleMs));
  }

  close(): void {
    for (const { socket } of [...this.#open.values()]) socket.destroy();
  }

  #wait(connection: Connection, ms: number): void {
    connection.waitingSince = this.#clock.now();
    connection.deadline?.cancel();
    connection.deadline =
      this.#open.get(connection.name) === connection
        ? this.#clock.setTimer(ms, () => connection.socket.destroy())
        : undefined;
  }

  #hasRoomFor(address: string): boolean {
    const same = isLoopback(address) ? [] : [...this.#open.values()].filter((each) => each.address === address);
    return (
      (same.length < this.#limits.connectionsPerAddressMax || this.#makeRoom(same)) &&
      (this.#open.size < this.#limits.connectionsMax || this.#makeRoom(this.#open.values()))
    );
  }

  #makeRoom(among: Iterable<Connection>): boolean {
    let longest: Connection | undefined;
    for (const each of among)
      if (each.waitingSince !== undefined && each.waitingSince < (longest?.waitingSince ?? Infinity)) longest = each;
    if (longest === undefined) return false;
    this.#remove(longest);
    longest.socket.destroy();
    return true;
  }

  #remove(connection: Connection): void {
    connection.deadline?.cancel();
    if (this.#open.get(connection.name) === connection) this.#open.delete(connection.name);
  }
}

const nameOf = ({ remoteAddress = "", remotePort = 0 }: Socket): string => `${remoteAddress} ${remotePort}`;

/** Of a request without these fields the end of the head is the end (RFC 9112, 6.3). */
const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;

const isLoopback = (address: string): boolean => /^(?:::ffff:)?127\.|^::1$/.test(address);
