/**
 * TCP as a port: exactly what the data plane needs of a runtime's sockets. `bun-tcp.ts` and `node-tcp.ts` implement it
 * (the first without streams, which cost more than parsing a request); one contract suite covers both.
 *
 * Rules for every implementation:
 * - Events come one at a time, in order, never from within a call of the socket, and only after the turn in which it
 *   was created.
 * - The last event is `onClose`; after `destroy` or `reset` no event comes at all, not even `onClose`.
 * - Each side may end separately: `onEnd` leaves our side open, `end` leaves theirs. The socket closes when both have
 *   ended.
 * - An exception of a user is not swallowed: it becomes an uncaught exception.
 */
import type { Buffer } from "node:buffer";

/** Latin1 text, or bytes that do not change any more. */
export type Piece = string | Buffer | BufferView;

/**
 * A part of a buffer. A separate view (`subarray`) costs as much as a system call, because it moves the bytes of a
 * small buffer.
 */
export class BufferView {
  readonly bytes: Buffer;
  readonly from: number;
  readonly length: number;

  constructor(bytes: Buffer, from: number, to: number) {
    this.bytes = bytes;
    this.from = from;
    this.length = to - from;
  }
}

export type ChunkUse = "consumed" | undefined;

/** The receiver of a socket's events. */
export interface TcpUser {
  /**
   * The user owns the bytes. `consumed`: they are not read again (everything written from them `isClear`), so the next
   * read may use their memory at once, instead of after a garbage collection.
   */
  onData(chunk: Buffer): ChunkUse;
  /** The other side has ended its direction; it may still read. */
  onEnd(): void;
  /** The system has taken everything that waited (`waitingBytes`). */
  onDrain(): void;
  /** The connection is gone. `code`: the system's (`ECONNRESET`), undefined if both sides ended in order. */
  onClose(code: string | undefined): void;
}

export interface TcpSocket {
  /** Numeric; empty when unknown. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Written bytes that the system has not taken yet. */
  readonly waitingBytes: number;
  /** True if no written byte waits or is still referenced. */
  readonly isClear: boolean;
  /** Sets the user, once, in the turn in which the socket was passed on. */
  use(user: TcpUser): void;
  /**
   * Never blocks and never fails: bytes that the system does not take wait, without a bound. Nothing may be written
   * after `end`. Small writes may be passed to the system at the end of the turn of the event loop; `end`, `destroy`
   * and `reset` come after them.
   */
  write(piece: Piece): void;
  /** Writes all pieces in order, in as few system calls as sensible. */
  writeAll(pieces: readonly Piece[]): void;
  /** Ends our direction after the waiting bytes. */
  end(): void;
  /** Delivers no `onData` and no `onEnd` until `resume`. */
  pause(): void;
  resume(): void;
  /** Closes; waiting bytes are lost. */
  destroy(): void;
  /** Closes so that the other side sees a reset, not an end. */
  reset(): void;
}

/** Only `destroy` may be called on a socket that is still connecting. */
export interface TcpConnectUser extends TcpUser {
  /** The socket can be used from now on. If the attempt fails, `onClose` comes instead, with the system's code. */
  onConnect(): void;
}

export interface TcpListenOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Other processes may listen on the same port with this option; the system spreads connections over them. */
  readonly reusePort?: boolean;
  /**
   * A listening socket inherited from another process; `host` and `port` then only name it. All processes that have it
   * accept from one queue, and closing it removes nothing from that queue.
   */
  readonly descriptor?: number;
}

export interface TcpListener {
  readonly port: number;
  /** Descriptor of the listening socket; -1 if the runtime does not report it. */
  readonly descriptor: number;
  /** Stops accepting; connections stay. */
  close(): void;
}

export interface Tcp {
  /** Rejects with the system's error (`code`). `onSocket` must set a user or destroy the socket before it returns. */
  listen(options: TcpListenOptions, onSocket: (socket: TcpSocket) => void): Promise<TcpListener>;
  connect(host: string, port: number, user: TcpConnectUser): TcpSocket;
}

/** Up to this size pieces are joined into one write; beyond it, copying costs more than another system call. */
export const joinBytesMax = 128 * 1024;
