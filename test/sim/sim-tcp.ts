/**
 * TCP between a host and its application (src/runtime/tcp/tcp.ts), in virtual time: bytes arrive in order, split at
 * seeded places, and what was split off a moment later. All events arrive in the host's process.
 */
import { Buffer } from "node:buffer";
import {
  BufferView,
  type Piece,
  type Tcp,
  type TcpConnectUser,
  type TcpListener,
  type TcpListenOptions,
  type TcpSocket,
  type TcpUser,
} from "../../src/runtime/tcp/tcp.ts";
import type { SeededRandom } from "../../harness/seeded-random.ts";
import type { SimProcess } from "./sim-process.ts";

export interface TcpOptions {
  /** Share of writes that arrive in several pieces. */
  readonly splitShare: number;
  /** Mean time between two of them, virtual milliseconds. */
  readonly pieceDelayMs: number;
}

interface Listener {
  /** Otherwise connections are refused. */
  readonly isAccepting: () => boolean;
  readonly onSocket: (socket: TcpSocket) => void;
}

const piecesMax = 4;

export class SimTcp implements Tcp {
  readonly process: SimProcess;
  readonly dice: SeededRandom;
  readonly options: TcpOptions;
  readonly #listeners = new Map<number, Listener>();

  constructor(process: SimProcess, dice: SeededRandom, options: TcpOptions) {
    this.process = process;
    this.dice = dice;
    this.options = options;
  }

  listen({ port }: TcpListenOptions, onSocket: (socket: TcpSocket) => void): Promise<TcpListener> {
    this.serve(port, { isAccepting: () => true, onSocket });
    return Promise.resolve({ port, descriptor: -1, close: () => void this.#listeners.delete(port) });
  }

  serve(port: number, listener: Listener): void {
    this.#listeners.set(port, listener);
  }

  connect(_host: string, port: number, user: TcpConnectUser): TcpSocket {
    const [near, far] = SimSocket.pair(this);
    near.use(user);
    this.later(0, "connect", () => {
      if (near.isClosed) return;
      const listener = this.#listeners.get(port);
      if (listener?.isAccepting() !== true) return near.lose("ECONNREFUSED");
      listener.onSocket(far);
      user.onConnect();
    });
    return near;
  }

  /** Connects one end that is not simulated here. */
  accept(port: number, socket: TcpSocket): void {
    this.#listeners.get(port)?.onSocket(socket);
  }

  later(delayMs: number, label: string, run: () => void): void {
    this.process.world.after(delayMs, label, () => this.process.enter(run));
  }

  /** Cuts bytes at drawn places. */
  split(bytes: Buffer): Buffer[] {
    if (bytes.length < 2 || !this.dice.chance(this.options.splitShare)) return [bytes];
    const cuts = Array.from({ length: this.dice.int(1, piecesMax - 1) }, () => this.dice.int(1, bytes.length - 1));
    const places = [0, ...new Set(cuts.sort((a, b) => a - b)), bytes.length];
    return places.slice(1).map((to, index) => bytes.subarray(places[index], to));
  }
}

export const bytesOf = (piece: Piece): Buffer => {
  if (typeof piece === "string") return Buffer.from(piece, "latin1");
  return piece instanceof BufferView ? piece.bytes.subarray(piece.from, piece.from + piece.length) : piece;
};

export class SimSocket implements TcpSocket {
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 1;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 1;
  readonly waitingBytes = 0;
  readonly isClear = true;
  readonly #tcp: SimTcp;
  #peer: SimSocket | undefined;
  #user: TcpUser | undefined;
  #isClosed = false;
  #isPaused = false;
  #hasEnded = false;
  #hasPeerEnded = false;
  /** What came while it was paused. */
  #kept: ((user: TcpUser) => void)[] = [];
  /** Virtual time before which nothing more arrives here: order is kept. */
  #notBefore = 0;

  static pair(tcp: SimTcp): [SimSocket, SimSocket] {
    const [near, far] = [new SimSocket(tcp), new SimSocket(tcp)];
    near.#peer = far;
    far.#peer = near;
    return [near, far];
  }

  private constructor(tcp: SimTcp) {
    this.#tcp = tcp;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  use(user: TcpUser): void {
    this.#user = user;
  }

  write(piece: Piece): void {
    // The bytes are read now: the writer may use a consumed buffer again.
    const bytes = Buffer.from(bytesOf(piece));
    if (bytes.length === 0 || this.#isClosed) return;
    if (this.#peer?.isClosed === true) return this.#tcp.later(0, "tcp reset", () => this.lose("ECONNRESET"));
    for (const [index, part] of this.#tcp.split(bytes).entries()) {
      const { dice, options } = this.#tcp;
      this.#peer?.arrive("tcp data", index === 0 ? 0 : dice.around(options.pieceDelayMs), (user) => user.onData(part));
    }
  }

  writeAll(pieces: readonly Piece[]): void {
    this.write(Buffer.concat(pieces.map(bytesOf)));
  }

  end(): void {
    if (this.#hasEnded || this.#isClosed) return;
    this.#hasEnded = true;
    this.#endAtPeer();
    if (this.#hasPeerEnded) this.#tcp.later(0, "tcp closed", () => this.lose(undefined));
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#tcp.later(0, "tcp resumed", () => {
      while (!this.#isPaused && !this.#isClosed && this.#user !== undefined) {
        const event = this.#kept.shift();
        if (event === undefined) return;
        event(this.#user);
      }
    });
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (!this.#hasEnded) this.#endAtPeer();
  }

  reset(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const peer = this.#peer;
    this.#tcp.later(0, "tcp reset", () => peer?.lose("ECONNRESET"));
  }

  /** The connection is gone. */
  lose(code: string | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#user?.onClose(code);
  }

  /** An event for this end, after those that are on their way. */
  arrive(label: string, delayMs: number, event: (user: TcpUser) => void): void {
    const { world } = this.#tcp.process;
    this.#notBefore = Math.max(this.#notBefore, world.now + delayMs);
    this.#tcp.later(this.#notBefore - world.now, label, () => {
      if (this.#isClosed || this.#user === undefined) return;
      if (this.#isPaused || this.#kept.length > 0) this.#kept.push(event);
      else event(this.#user);
    });
  }

  #endAtPeer(): void {
    const peer = this.#peer;
    peer?.arrive("tcp end", 0, (user) => {
      peer.#hasPeerEnded = true;
      user.onEnd();
      if (peer.#hasEnded) peer.lose(undefined);
    });
  }
}
