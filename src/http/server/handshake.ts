/**
 * A connection before its first request: a TLS handshake, what is read before that, and the PROXY protocol header
 * before that are not complete. It counts and has a time limit like any other.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Timed } from "../../runtime/deadlines.ts";
import { nodeSocket } from "../../runtime/tcp/node-tcp.ts";
import type { TcpSocket } from "../../runtime/tcp/tcp.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import { type ClientHello, readClientHello } from "./client-hello.ts";
import type { ConnectionOwner, NamedConnection } from "./connection-owner.ts";
import { errorReply, localReplyBytes } from "./local-reply.ts";
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
   * Reads the PROXY protocol header at the start of `socket`, and calls `onNamed`; everything behind it is unread. If
   * it is malformed, or its client has too many connections, the connection is refused: with an answer if `isPlain`.
   */
  readHeader(socket: Socket, isPlain: boolean, onNamed: () => void): void {
    const onBytes = (bytes: Buffer): number | undefined => {
      const header = readProxyHeader(bytes);
      if (header?.source !== undefined) this.#name(header.source);
      return header?.end;
    };
    const onRefused = (error: ProtocolError): void => this.#refuse(error, isPlain ? socket : undefined);
    this.#readStart(socket, onBytes, onNamed, onRefused);
  }

  /** Reads the first message of a TLS client, which stays unread. */
  readHello(socket: Socket, onHello: (hello: ClientHello) => void): void {
    let hello: ClientHello | undefined;
    const onBytes = (bytes: Buffer): number | undefined => {
      hello = readClientHello(bytes);
      return hello === undefined ? undefined : 0;
    };
    const onRead = (): void => {
      if (hello !== undefined) onHello(hello);
    };
    this.#readStart(socket, onBytes, onRead, () => this.abort());
  }

  /** `onBytes` returns how much it takes of what has come so far; undefined: it needs more. */
  #readStart(
    socket: Socket,
    onBytes: (bytes: Buffer) => number | undefined,
    onRead: () => void,
    onRefused: (error: ProtocolError) => void,
  ): void {
    let bytes = Buffer.alloc(0);
    const onEnd = (): void => this.abort();
    const release = (): void => {
      socket.pause();
      socket.off("data", onData);
      socket.off("end", onEnd);
    };
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      try {
        const end = onBytes(bytes);
        if (end === undefined) return;
        release();
        if (end < bytes.length) socket.unshift(bytes.subarray(end));
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        release();
        onRefused(error);
        return;
      }
      onRead();
    };
    socket.on("data", onData);
    socket.once("end", onEnd);
    socket.once("close", () => this.onGone());
    socket.resume(); // a part that was read before has paused it
  }

  #name(source: ProxySource): void {
    this.client = source;
    if (!this.#owner.onClientNamed(this, source.address))
      throw new ProtocolError(429, "too_many_connections", "this address has too many connections open");
  }

  /** With an answer it reads on for as long as a first request may take (RFC 9112, 9.6). */
  #refuse(error: ProtocolError, plain: Socket | undefined): void {
    this.#owner.onProtocolError(error, this.countedAddress);
    if (plain === undefined) {
      this.abort();
      return;
    }
    const reply = errorReply(error.status, error.code, error.message, undefined);
    nodeSocket(plain).writeAll(localReplyBytes(reply, "GET", "close", this.#owner.wallTime()));
    plain.end();
    plain.resume();
  }

  /** It has ended: complete, or the socket is gone. */
  onGone(): void {
    this.#owner.deadlines.remove(this);
    this.#owner.onConnectionClosed(this);
  }
}
