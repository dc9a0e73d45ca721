/**
 * The two ends of a connection in memory: writes at one end are reads at the other, with backpressure and half-close.
 */
import { Duplex } from "node:stream";
import type { Buffer } from "node:buffer";

export class MemorySocket extends Duplex {
  readonly remoteAddress: string;
  readonly remotePort: number;
  #peer: MemorySocket | undefined;
  #taken: (() => void) | undefined;

  /** `[client, server]`; the server's end has the client's address. */
  static pair(address: string, port: number): [MemorySocket, MemorySocket] {
    const client = new MemorySocket("", 0);
    const server = new MemorySocket(address, port);
    client.#peer = server;
    server.#peer = client;
    return [client, server];
  }

  private constructor(address: string, port: number) {
    super({ allowHalfOpen: true });
    this.remoteAddress = address;
    this.remotePort = port;
  }

  resetAndDestroy(): void {
    this.destroy();
  }

  override _read(): void {
    const taken = this.#taken;
    this.#taken = undefined;
    taken?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    const peer = this.#peer;
    if (peer === undefined || peer.destroyed) done(new Error("the other end is closed"));
    else if (peer.push(chunk)) done();
    else peer.#taken = done;
  }

  override _final(done: () => void): void {
    this.#peer?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const peer = this.#peer;
    this.#peer = undefined;
    this.#taken = undefined;
    if (peer !== undefined) queueMicrotask(() => peer.destroy());
    done(error);
  }
}
