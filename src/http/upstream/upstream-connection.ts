/**
 * One connection to an upstream. It belongs to its pool while unused and to exactly one user during an exchange.
 *
 * Bytes that arrive while it is idle, its end, and errors make it unusable: an unsolicited response must never be taken
 * for the next one.
 */
import type { Buffer } from "node:buffer";
import type { ChunkUse, Piece, Tcp, TcpConnectUser, TcpSocket } from "../../runtime/tcp/tcp.ts";
import type { Deadlines, Timed } from "../../runtime/deadlines.ts";

export interface UpstreamUser {
  onData(chunk: Buffer): ChunkUse;
  /** The upstream has sent its end; it may still read. */
  onEnd(): void;
  onDrain(): void;
  /** The connection is gone, for any reason; called at most once, nothing follows. */
  onGone(reason: string): void;
  /** A deadline that the user has set with `expire` has passed. */
  onExpired(): void;
}

export interface UpstreamPool {
  readonly deadlines: Deadlines;
  readonly tcp: Pick<Tcp, "connect">;
  onConnected(connection: UpstreamConnection): void;
  onConnectFailed(connection: UpstreamConnection, reason: string): void;
  /** A connection that was connected is gone. */
  onClosed(connection: UpstreamConnection): void;
}

export class UpstreamConnection implements Timed, TcpConnectUser {
  deadlineAt = Infinity;
  /** Exchanges that this connection has completed. */
  uses = 0;
  /** When it was last returned, monotonic milliseconds. */
  unusedSince = 0;
  /** Longest time it may stay unused, from the upstream's Keep-Alive. */
  idleMsMax = Infinity;
  /** End of the user's time, whatever deadlines it sets later. */
  notAfter = Infinity;
  readonly #pool: UpstreamPool;
  readonly #socket: TcpSocket;
  #user: UpstreamUser | undefined;
  #state: "connecting" | "open" | "closed" = "connecting";
  #reason = "the upstream closed the connection";
  #hasEnded = false;

  constructor(pool: UpstreamPool, host: string, port: number, connectMs: number) {
    this.#pool = pool;
    pool.deadlines.add(this);
    this.expire(connectMs);
    this.#socket = pool.tcp.connect(host, port, this);
  }

  get isOpen(): boolean {
    return this.#state === "open" && !this.#hasEnded;
  }

  get isUsed(): boolean {
    return this.#user !== undefined;
  }

  /** Bytes written that the upstream's socket has not taken yet. */
  get waitingBytes(): number {
    return this.#socket.waitingBytes;
  }

  use(user: UpstreamUser): void {
    if (this.#user !== undefined) throw new Error("an upstream connection has one user at a time");
    this.#user = user;
  }

  /** The user is done with the connection; the pool decides what happens to it. */
  detach(): void {
    this.#user = undefined;
    this.notAfter = Infinity;
  }

  expire(ms: number): void {
    this.deadlineAt = Math.min(this.#pool.deadlines.after(ms), this.notAfter);
  }

  write(piece: Piece): void {
    if (this.#state === "open") this.#socket.write(piece);
  }

  writeAll(pieces: readonly Piece[]): void {
    if (this.#state === "open") this.#socket.writeAll(pieces);
  }

  /** Ends our direction; reading continues. */
  end(): void {
    if (this.#state === "open") this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  abort(reason: string): void {
    if (this.#state === "closed") return;
    this.#reason = reason;
    this.#close();
    this.#socket.destroy();
  }

  onDeadline(): void {
    this.deadlineAt = Infinity;
    if (this.#state === "connecting") this.abort("the upstream did not accept the connection in time");
    else if (this.#user === undefined) this.abort("unused for too long");
    else this.#user.onExpired();
  }

  onConnect(): void {
    if (this.#state !== "connecting") return;
    this.#state = "open";
    this.deadlineAt = Infinity;
    this.#pool.onConnected(this);
  }

  onData(chunk: Buffer): ChunkUse {
    if (this.#state === "closed") return undefined;
    if (this.#user !== undefined) return this.#user.onData(chunk);
    this.abort("the upstream sent bytes without a request");
    return undefined;
  }

  onEnd(): void {
    if (this.#state === "closed") return;
    this.#hasEnded = true;
    if (this.#user === undefined) this.abort("the upstream closed an unused connection");
    else this.#user.onEnd();
  }

  onDrain(): void {
    this.#user?.onDrain();
  }

  onClose(code: string | undefined): void {
    if (code !== undefined && this.#state !== "closed") this.#reason = code;
    this.#close();
  }

  #close(): void {
    if (this.#state === "closed") return;
    const wasConnecting = this.#state === "connecting";
    this.#state = "closed";
    this.deadlineAt = Infinity;
    this.#pool.deadlines.remove(this);
    const user = this.#user;
    this.#user = undefined;
    if (wasConnecting) this.#pool.onConnectFailed(this, this.#reason);
    else this.#pool.onClosed(this);
    user?.onGone(this.#reason);
  }
}
