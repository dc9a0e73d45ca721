/**
 * A connection whose TLS handshake, or the PROXY protocol header before it, is not complete: it counts and has a time
 * limit like any other.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Timed } from "../../runtime/deadlines.ts";
import type { TcpSocket } from "../../runtime/tcp/tcp.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import type { ConnectionOwner, NamedConnection } from "./connection-owner.ts";
import { type ProxySource, readProxyHeader } from "./proxy-protocol.ts";

/** An accepted socket, before its user is set. */
export type AcceptedSocket = Pick<TcpSocket, "remoteAddress" | "destroy">;

export class Handshake implements Timed, NamedConnection {
  deadlineAt: number;
  countedAddress: string;
  /** The client that a load balancer named. */
  client: ProxySource | undefined;
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

  /**
   * Reads the PROXY protocol header at the start of `socket`, and calls `onNamed` with everything behind it unread. If
   * it is malformed, or its client has too many connections, `onRefused` is called and has to end the connection.
   */
  readHeader(socket: Socket, onNamed: () => void, onRefused: (error: ProtocolError) => void): void {
    let bytes = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      try {
        const header = readProxyHeader(bytes);
        if (header === undefined) return;
        release();
        this.#onSource(header.source);
        if (header.end < bytes.length) socket.unshift(bytes.subarray(header.end));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        release();
        onRefused(error);
        return;
      }
      onNamed();
    };
    const onEnd = (): void => this.abort();
    const release = (): void => {
      socket.pause();
      socket.off("data", onData);
      socket.off("end", onEnd);
    };
    socket.on("data", onData);
    socket.once("end", onEnd);
    socket.once("close", () => this.onGone());
  }

  #onSource(source: ProxySource | undefined): void {
    if (source === undefined) return;
    this.client = source;
    if (!this.#owner.onClientNamed(this, source.address))
      throw new ProtocolError(429, "too_many_connections", "this address has too many connections open");
  }

  /** It has ended: complete, or the socket is gone. */
  onGone(): void {
    this.#owner.deadlines.remove(this);
    this.#owner.onConnectionClosed(this);
  }
}
