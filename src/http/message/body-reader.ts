/** Reads one message body out of a stream of chunks and finds its end; the content goes to a sink without copying. */
import type { Buffer } from "node:buffer";
import { ChunkedReader, type BodySink, type BodyLimits } from "./chunked-reader.ts";
import type { Framing } from "./head.ts";

export class BodyReader {
  /** Bytes left of a body with a length; for a body that ends with its connection, more than can ever arrive. */
  #left: number;
  #isDone: boolean;
  readonly #chunked: ChunkedReader | undefined;

  constructor(framing: Framing, limits: BodyLimits, bodyBytesMax = limits.bodyBytesMax) {
    this.#left = framing.kind === "length" ? framing.bytes : Infinity;
    this.#isDone = framing.kind === "none" || this.#left === 0;
    this.#chunked = framing.kind === "chunked" ? new ChunkedReader(limits, bodyBytesMax) : undefined;
  }

  /** The whole body has been read. */
  get isDone(): boolean {
    return this.#chunked === undefined ? this.#isDone : this.#chunked.isDone;
  }

  /** True if a part of the last chunk is kept. */
  get hasBytes(): boolean {
    return this.#chunked?.hasBytes === true;
  }

  /** Passes the body's part of `chunk` to `sink` and returns the offset after it. Throws `ProtocolError`. */
  read(chunk: Buffer, from: number, sink: BodySink): number {
    if (this.isDone || from >= chunk.length) return from;
    if (this.#chunked !== undefined) return this.#chunked.read(chunk, from, sink);
    const rest = chunk.length - from;
    if (rest < this.#left) {
      this.#left -= rest;
      sink.onBody(chunk, from, chunk.length);
      return chunk.length;
    }
    const end = from + this.#left;
    this.#left = 0;
    this.#isDone = true;
    sink.onBody(chunk, from, end);
    sink.onBodyEnd(undefined);
    return end;
  }
}
