/** `Tcp` on `node:net`: for Node and Deno, and everywhere for streams (TLS of `node:tls`, in-memory connections). */
import { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";
import {
  joinBytesMax,
  BufferView,
  type Piece,
  type Tcp,
  type TcpListener,
  type TcpListenOptions,
  type TcpSocket,
  type TcpUser,
} from "./tcp.ts";

/** Half-open, because either side may end first; no Nagle delay, because every write is a whole message. */
export const nodeSocketOptions = { allowHalfOpen: true, noDelay: true };
/** Length of the accept queue; the system has its own bound (`net.core.somaxconn`). */
const backlog = 4096;

export const nodeTcp: Tcp = {
  listen(options, onSocket) {
    return listenWith(
      createServer(nodeSocketOptions, (socket) => onSocket(nodeSocket(socket))),
      options,
    );
  },

  connect(host, port, user) {
    const socket = connect({ host, port, ...nodeSocketOptions });
    socket.once("connect", () => user.onConnect());
    const adapter = nodeSocket(socket);
    adapter.use(user);
    return adapter;
  },
};

/** Listens for those who need streams. `onSocket` must attach a listener of errors. */
export const listenForStreams = (options: TcpListenOptions, onSocket: (socket: Socket) => void): Promise<TcpListener> =>
  listenWith(createServer(nodeSocketOptions, onSocket), options);

/** Starts listening with `server`. */
export function listenWith(
  server: Server,
  { host, port, reusePort = false, descriptor }: TcpListenOptions,
): Promise<TcpListener> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(descriptor === undefined ? { host, port, backlog, reusePort } : { fd: descriptor }, () => {
      server.removeListener("error", reject);
      server.on("error", () => undefined); // only accept errors remain (too many open files); accepting continues
      const address = server.address();
      const handle = (server as unknown as { readonly _handle?: { readonly fd?: number } | null })._handle;
      resolve({
        port: address === null || typeof address === "string" ? port : address.port,
        descriptor: handle?.fd ?? -1,
        close: () => server.close(),
      });
    });
  });
}

/** Wraps a stream socket as a `TcpSocket`. Its error listener is attached from the start. */
export function nodeSocket(socket: Socket): TcpSocket {
  return new NodeSocket(socket);
}

class NodeSocket implements TcpSocket {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #socket: Socket;
  #user: TcpUser | undefined;
  #code: string | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.remoteAddress = socket.remoteAddress ?? "";
    this.remotePort = socket.remotePort ?? 0;
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.#code = error.code ?? error.message;
    });
  }

  get localAddress(): string {
    return this.#socket.localAddress ?? "";
  }

  get localPort(): number {
    return this.#socket.localPort ?? 0;
  }

  get waitingBytes(): number {
    return this.#socket.writableLength;
  }

  /** A stream may hold its input for as long as it likes, and pass it on. */
  get isClear(): boolean {
    return false;
  }

  use(user: TcpUser): void {
    if (this.#user !== undefined) throw new Error("a socket has one user");
    this.#user = user;
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => this.#user?.onData(chunk));
    socket.on("end", () => this.#user?.onEnd());
    socket.on("drain", () => this.#onDrain());
    socket.on("close", () => {
      this.#user?.onClose(this.#code);
      this.#user = undefined;
    });
  }

  write(piece: Piece): void {
    if (piece.length === 0 || this.#socket.writableEnded) return;
    if (typeof piece === "string") this.#socket.write(piece, "latin1");
    else this.#socket.write(viewOf(piece));
  }

  writeAll(pieces: readonly Piece[]): void {
    let total = 0;
    for (const piece of pieces) total += piece.length;
    if (pieces.length === 1 || total > joinBytesMax) for (const piece of pieces) this.write(piece);
    else if (total > 0) this.write(joined(pieces, total));
  }

  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#user = undefined;
    this.#socket.destroy();
  }

  reset(): void {
    this.#user = undefined;
    this.#socket.resetAndDestroy();
  }

  /** A stream reports this also for data that it has only passed on; the user is told only when nothing waits. */
  #onDrain(): void {
    if (this.#socket.writableLength === 0) this.#user?.onDrain();
  }
}

function joined(pieces: readonly Piece[], total: number): Buffer {
  const all = Buffer.allocUnsafe(total);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === "string") all.write(piece, at, "latin1");
    else all.set(viewOf(piece), at);
    at += piece.length;
  }
  return all;
}

const viewOf = (piece: Buffer | BufferView): Buffer =>
  piece instanceof BufferView ? piece.bytes.subarray(piece.from, piece.from + piece.length) : piece;
