/**
 * TCP as a port: what the data plane needs of a runtime's sockets, and nothing else. `bun-tcp.ts` and `node-tcp.ts`
 * implement it (the first without streams, which cost more than a request's parsing); one contract suite holds for
 * both.
 *
 * Rules for every implementation:
 * - Events come one at a time, in order, never from within a call of the socket, and only after the turn in which it
 *   was made.
 * - The last event is `onClose`; after `destroy` or `reset` no event comes at all, `onClose` included.
 * - Both sides may end on their own: `onEnd` leaves our side open, `end` leaves theirs. When both have ended the socket
 *   closes.
 * - What a user throws is not swallowed: it becomes an uncaught exception.
 */
import type { Buffer } from "node:buffer";

/** Latin1 text, or bytes that do not change any more. */
export type Piece = string | Buffer | BufferView;

/**
 * A part of a buffer. A view of its own (`subarray`) costs as much as a system call, because it moves the bytes of a
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

/** Who gets a socket's events. */
export interface TcpUser {
  /**
   * The bytes are the user's to keep. `consumed`: they are not read again (everything written out of them `isClear`),
   * so their memory may be used for the next read at once, instead of after a collection of garbage.
   */
  onData(chunk: Buffer): ChunkUse;
  /** The other side has ended; it may still read. */
  onEnd(): void;
  /** Everything that waited (`waitingBytes`) has been taken by the system. */
  onDrain(): void;
  /** The connection is gone. `code`: the system's (`ECONNRESET`), undefined when both sides have ended in order. */
  onClose(code: string | undefined): void;
}

export interface TcpSocket {
  /** Numeric; empty when unknown. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** Bytes written that the system has not taken yet. */
  readonly waitingBytes: number;
  /** Nothing that was written is held any more: it does not wait, and there is no reference to its bytes. */
  readonly isClear: boolean;
  /** Names the user, once, in the turn in which the socket was handed over. */
  use(user: TcpUser): void;
  /**
   * Never blocks and never fails: what the system does not take waits, without a bound of its own. After `end` nothing
   * is written. Small writes may be handed to the system at the end of the turn of the event loop; `end`, `destroy` and
   * `reset` come after them.
   */
  write(piece: Piece): void;
  /** All pieces in order, in as few system calls as sensible. */
  writeAll(pieces: readonly Piece[]): void;
  /** Sends our end after what waits. */
  end(): void;
  /** No `onData` and no `onEnd` until `resume`. */
  pause(): void;
  resume(): void;
  /** Closes; what waits is lost. */
  destroy(): void;
  /** Closes so that the other side sees a reset, not an end. */
  reset(): void;
}

/** A socket that is still being connected gets no calls but `destroy`. */
export interface TcpConnectUser extends TcpUser {
  /** From now on the socket can be used. When the attempt fails, `onClose` comes instead, with the system's code. */
  onConnect(): void;
}

export interface TcpListenOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** Other processes may listen on the same port with the same option; the system spreads connections over them. */
  readonly reusePort?: boolean;
  /**
   * A socket that listens already, inherited from another process: `host` and `port` only name it then. All processes
   * that have it take from one queue, and one that closes it takes nothing out of that queue.
   */
  readonly descriptor?: number;
}

export interface TcpListener {
  readonly port: number;
  /** Of the listening socket; -1 where the runtime does not tell. */
  readonly descriptor: number;
  /** Accepts nothing more; connections stay. */
  close(): void;
}

export interface Tcp {
  /** Rejects with the system's error (`code`). `onSocket` must name a user or destroy the socket before it returns. */
  listen(options: TcpListenOptions, onSocket: (socket: TcpSocket) => void): Promise<TcpListener>;
  connect(host: string, port: number, user: TcpConnectUser): TcpSocket;
}

/** Up to this size pieces are joined into one write; above it copying costs more than another system call. */
export const joinBytesMax = 128 * 1024;
