/**
 * A client connection whose requests are read by another server (node:http, node:http2) and come back through the Hono
 * app. It counts, has time limits and is drained like the connections whose requests are read here.
 *
 * Its protocol's own server reads heads, so there is no time limit for one head alone: the first must be complete
 * within `firstRequestMs` of accept, every other within `idleMs` of the response before it. Bodies and slow readers
 * have their limits at the in-memory connection of their request (embed/fetch-adapter.ts).
 */
import type { Socket } from "node:net";
import type { Timed } from "../../runtime/deadlines.ts";
import type { ConnectionOwner, OwnedConnection } from "./connection-owner.ts";
import type { ProxySource } from "./proxy-protocol.ts";

export type AppProtocol = "http/1.1" | "h2";

/** Another server's side of one connection. */
export interface AppSession {
  /** The present requests are the last. */
  drain(): void;
}

/** A connection for another server. */
export interface AppStream {
  readonly socket: Socket;
  readonly protocol: AppProtocol;
  /** Named by a load balancer. Undefined: the other end of `socket`. */
  readonly client: ProxySource | undefined;
}

export interface AppServer {
  readonly protocols: readonly AppProtocol[];
  /** Serves a connection from now on. `onRequests` is told the number of requests in progress when it changes. */
  serve(stream: AppStream, onRequests: (count: number) => void): AppSession;
}

export class AppConnection implements Timed, OwnedConnection {
  deadlineAt = Infinity;
  readonly countedAddress: string;
  readonly #owner: ConnectionOwner;
  readonly #socket: Socket;
  readonly #session: AppSession;
  #requests = 0;
  #idleSince: number;
  #isClosed = false;

  /** `firstRequestBy`: end of the time for the first request, which began with the connection (a TLS handshake). */
  constructor(owner: ConnectionOwner, app: AppServer, stream: AppStream, firstRequestBy: number) {
    const { socket, client } = stream;
    this.#owner = owner;
    this.#socket = socket;
    this.countedAddress = client?.address ?? socket.remoteAddress ?? "";
    owner.deadlines.add(this);
    this.#idleSince = owner.deadlines.now;
    this.#expire(Math.min(owner.limits.idleMs, owner.limits.firstRequestMs));
    this.deadlineAt = Math.min(this.deadlineAt, firstRequestBy);
    socket.once("close", () => this.#onClose());
    this.#session = app.serve(stream, (count) => this.#onRequests(count));
  }

  get idleSince(): number {
    return this.#requests === 0 ? this.#idleSince : Infinity;
  }

  drain(): void {
    if (!this.#isClosed) this.#session.drain();
  }

  abort(how: "destroy" | "reset"): void {
    if (this.#isClosed) return;
    if (how === "reset") this.#socket.resetAndDestroy();
    else this.#socket.destroy();
    this.#onClose();
  }

  onDeadline(): void {
    this.abort("destroy");
  }

  #onRequests(count: number): void {
    this.#requests = count;
    if (this.#isClosed) return;
    if (count > 0) this.deadlineAt = Infinity;
    else {
      this.#idleSince = this.#owner.deadlines.now;
      this.#expire(this.#owner.limits.idleMs);
    }
    if (this.#owner.isDraining) this.#session.drain();
  }

  #expire(ms: number): void {
    this.deadlineAt = this.#owner.deadlines.after(ms);
  }

  #onClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.deadlineAt = Infinity;
    this.#owner.deadlines.remove(this);
    this.#owner.onConnectionClosed(this);
  }
}
