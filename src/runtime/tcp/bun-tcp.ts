/**
 * `Tcp` on `Bun.listen` and `Bun.connect`: no streams, no listeners per socket, one native call for each read and
 * write.
 *
 * Pieces are joined in one buffer (`Outbox`), so that a response head and its body cost one system call and no
 * allocation. That is safe because a native write copies into the kernel before it returns; what the kernel does not
 * take is copied out of the buffer and waits. Small writes are made together at the end of the turn.
 *
 * Bun has no way to abandon a connection attempt: a socket destroyed during one is closed once the system has decided
 * (refused, connected, or its own time limit).
 */
import { Buffer } from "node:buffer";
import { Outbox, smallBytesMax, type OutboxUser } from "./bun-outbox.ts";
import { joinBytesMax, BufferView, type Piece, type Tcp, type TcpSocket, type TcpUser } from "./tcp.ts";

type Native = Bun.Socket<BunSocket>;
type SystemError = Error & { readonly code?: string };

/** Smaller chunks are part of the garbage-collected heap, which frees them cheaply. */
const freedBytesMin = 4 * 1024;

/** Frees the memory at once, so that the next read gets it while it is in the cache. The chunk is empty afterwards. */
function free(chunk: Buffer): void {
  (chunk.buffer as ArrayBuffer & { transfer(length: number): ArrayBuffer }).transfer(0); // ECMAScript 2024
}

const outbox = new Outbox();

export const bunTcp: Tcp = {
  listen({ host, port, reusePort = false, descriptor }, onSocket) {
    return new Promise((resolve) => {
      const socket: Bun.SocketHandler<BunSocket> = {
        ...events,
        open(native) {
          native.data = new BunSocket();
          native.data.open(native);
          onSocket(native.data);
        },
      };
      const options = { hostname: host, port, allowHalfOpen: true, reusePort, socket };
      // Bun accepts `fd` in place of an address, but its types do not have it.
      const listener = Bun.listen<BunSocket>(
        descriptor === undefined
          ? options
          : ({ fd: descriptor, allowHalfOpen: true, socket } as unknown as typeof options),
      );
      const own = (listener as unknown as { readonly fd?: number }).fd ?? -1;
      resolve({
        port: descriptor === undefined ? listener.port : port,
        descriptor: own,
        close: () => listener.stop(false),
      });
    });
  },

  connect(host, port, user) {
    const socket = new BunSocket();
    socket.use(user);
    const handler: Bun.SocketHandler<BunSocket> = {
      ...events,
      open(native) {
        if (socket.isDestroyed) {
          native.terminate();
          return;
        }
        socket.open(native);
        user.onConnect();
      },
      connectError: (_native, error: SystemError) => socket.onClose(error),
    };
    // The rejection repeats what `connectError` has reported.
    Bun.connect({ hostname: host, port, allowHalfOpen: true, data: socket, socket: handler }).catch(() => undefined);
    return socket;
  },
};

const events = {
  binaryType: "buffer",
  data: (native, chunk) => native.data.onData(chunk),
  end: (native) => native.data.onEnd(),
  drain: (native) => native.data.onWritable(),
  close: (native, error?: SystemError) => native.data.onClose(error),
  /** An error that a handler has thrown. */
  error(_native, error) {
    queueMicrotask(() => {
      throw error;
    });
  },
} satisfies Bun.SocketHandler<BunSocket>;

class BunSocket implements TcpSocket, OutboxUser {
  remoteAddress = "";
  remotePort = 0;
  #native: Native | undefined;
  #user: TcpUser | undefined;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Start of its small writes of this turn in the outbox. */
  #keptFrom = 0;
  #keptLength = 0;
  #isEnding = false;
  #hasOtherEnded = false;
  isDestroyed = false;

  open(native: Native): void {
    this.#native = native;
    this.remoteAddress = native.remoteAddress;
    this.remotePort = native.remotePort;
  }

  get localAddress(): string {
    return this.#native?.localAddress ?? "";
  }

  get localPort(): number {
    return this.#native?.localPort ?? 0;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get isClear(): boolean {
    return this.#waitingBytes === 0;
  }

  use(user: TcpUser): void {
    if (this.#user !== undefined) throw new Error("a socket has one user");
    this.#user = user;
  }

  write(piece: Piece): void {
    this.writeAll([piece]);
  }

  writeAll(pieces: readonly Piece[]): void {
    let total = 0;
    for (const piece of pieces) total += piece.length;
    if (total === 0 || this.#isEnding || this.#native === undefined) return;
    const isSmall = total <= smallBytesMax;
    if (this.#waitingBytes > 0 || total > joinBytesMax || (pieces.length === 1 && !isSmall)) {
      this.sendKept();
      for (const piece of pieces) this.#writeAlone(piece);
      return;
    }
    const from = outbox.join(pieces, total);
    if (isSmall) this.#keep(from, total);
    else {
      this.sendKept();
      this.#hand(outbox.buffer, from, total);
    }
  }

  #writeAlone(piece: Piece): void {
    if (piece instanceof BufferView) this.#hand(piece.bytes, piece.from, piece.length);
    else this.#hand(typeof piece === "string" ? Buffer.from(piece, "latin1") : piece, 0, piece.length);
  }

  #keep(from: number, length: number): void {
    if (this.#keptLength > 0 && this.#keptFrom + this.#keptLength === from) this.#keptLength += length;
    else {
      this.sendKept();
      this.#keptFrom = from;
      this.#keptLength = length;
    }
    outbox.keep(this, length);
  }

  sendKept(): void {
    const length = this.#keptLength;
    this.#keptLength = 0;
    this.#hand(outbox.buffer, this.#keptFrom, length);
  }

  /** Passes bytes to the system; the remainder waits, and is copied if the bytes belong to the outbox. */
  #hand(bytes: Buffer, from: number, length: number): void {
    if (length === 0 || this.#native === undefined) return;
    const taken = this.#waitingBytes > 0 ? 0 : this.#native.write(bytes, from, length);
    if (taken < 0 || taken === length) return;
    const left = bytes.subarray(from + taken, from + length);
    this.#wait(bytes === outbox.buffer ? Buffer.from(left) : left);
  }

  #wait(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
  }

  end(): void {
    if (this.#isEnding) return;
    this.sendKept();
    this.#isEnding = true;
    if (this.#waitingBytes === 0) this.#native?.shutdown();
  }

  pause(): void {
    this.#native?.pause();
  }

  resume(): void {
    this.#native?.resume();
  }

  destroy(): void {
    this.sendKept();
    this.#detach()?.close();
  }

  reset(): void {
    this.sendKept();
    this.#detach()?.terminate();
  }

  /** Detaches the native socket: no event is delivered from here on. */
  #detach(): Native | undefined {
    const native = this.#native;
    this.isDestroyed = true;
    this.#user = undefined;
    this.#native = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#keptLength = 0;
    return native;
  }

  onData(chunk: Buffer): void {
    if (this.#user?.onData(chunk) === "consumed" && chunk.length >= freedBytesMin) free(chunk);
  }

  onEnd(): void {
    this.#hasOtherEnded = true;
    this.#user?.onEnd();
  }

  /** Bun calls this at other times too. */
  onWritable(): void {
    if (this.#waitingBytes === 0) return;
    while (this.#waiting.length > 0) {
      const bytes = this.#waiting[0] as Buffer;
      const taken = Math.max(0, this.#native?.write(bytes) ?? 0);
      this.#waitingBytes -= taken;
      if (taken < bytes.length) {
        this.#waiting[0] = bytes.subarray(taken);
        return;
      }
      this.#waiting.shift();
    }
    if (this.#isEnding) this.#native?.shutdown();
    else this.#user?.onDrain();
  }

  /**
   * Bun calls this from within `shutdown` too, and omits the end if it follows ours; this restores both as the port
   * requires. The native socket is closed already, so only a `destroy` can come in between, and then no event is due.
   */
  onClose(error: SystemError | undefined): void {
    queueMicrotask(() => {
      if (error === undefined && !this.#hasOtherEnded) this.onEnd();
      const user = this.#user;
      this.#detach();
      user?.onClose(error === undefined ? undefined : (error.code ?? error.message));
    });
  }
}
