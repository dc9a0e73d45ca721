/**
 * Reads one message body out of a stream of chunks and says where it ends; the content goes to a sink without copying.
 */
import type { Buffer } from "node:buffer";
import { ChunkedReader, type BodySink, type BodyLimits } from "./chunked-reader.ts";
import type { Framing } from "./head.ts";

export class BodyReader {
  /** Bytes left of a body with a length; of one that ends with its connection, more than will ever come. */
  #left: number;
  #done: boolean;
  readonly #chunked: ChunkedReader | undefined;

  constructor(framing: Framing, limits: BodyLimits, bodyBytesMax = limits.bodyBytesMax) {
    this.#left = framing.kind === "length" ? framing.bytes : Infinity;
    this.#done = framing.kind === "none" || this.#left === 0;
    this.#chunked = framing.kind === "chunked" ? new ChunkedReader(limits, bodyBytesMax) : undefined;
  }

  /** The whole body has been read. */
  get done(): boolean {
    return this.#chunked === undefined ? this.#done : this.#chunked.done;
  }

  /** A part of the last chunk is kept. */
  get holdsBytes(): boolean {
    return this.#chunked?.holdsBytes === true;
  }

  /** Hands the body's part of `chunk` to `sink` and returns the offset after it. Throws `ProtocolError`. */
  read(chunk: Buffer, from: number, sink: BodySink): number {
    if (this.done || from >= chunk.length) return from;
    if (this.#chunked !== undefined) return this.#chunked.read(chunk, from, sink);
    const rest = chunk.length - from;
    if (rest < this.#left) {
      this.#left -= rest;
      sink.onBody(chunk, from, chunk.length);
      return chunk.length;
    }
    const end = from + this.#left;
    this.#left = 0;
    this.#done = true;
    sink.onBody(chunk, from, end);
    sink.onBodyEnd(undefined);
    return end;
  }
}
