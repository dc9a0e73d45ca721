/** A connection whose TLS handshake is not complete: it counts and has a time limit like any other. */
import type { Timed } from "../../runtime/deadlines.ts";
import type { TcpSocket } from "../../runtime/tcp/tcp.ts";
import type { ConnectionOwner, OwnedConnection } from "./connection-owner.ts";

/** An accepted socket, before its user is set. */
export type AcceptedSocket = Pick<TcpSocket, "remoteAddress" | "destroy">;

export class Handshake implements Timed, OwnedConnection {
  deadlineAt: number;
  readonly countedAddress: string;
  readonly #owner: ConnectionOwner;
  readonly #socket: AcceptedSocket;
  readonly #since: number;

  constructor(owner: ConnectionOwner, socket: AcceptedSocket) {
    this.#owner = owner;
    this.#socket = socket;
    this.countedAddress = socket.remoteAddress;
    owner.deadlines.add(this);
    this.deadlineAt = owner.deadlines.after(owner.limits.firstRequestMs);
    this.#since = owner.deadlines.now;
  }

  get idleSince(): number {
    return this.#since;
  }

  onDeadline(): void {
    this.abort();
  }

  /** A server that closes its idle connections does not wait for a request of this one. */
  drain(): void {
    this.abort();
  }

  abort(): void {
    this.onGone();
    this.#socket.destroy();
  }

  /** It has ended: complete, or the socket is gone. */
  onGone(): void {
    this.#owner.deadlines.remove(this);
    this.#owner.onConnectionClosed(this);
  }
}
