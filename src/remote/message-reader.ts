/**
 * Reads the messages of one side of a connection: a head of HTTP/1.1 (http/message), and a body whose length the head
 * names. A length above the bound is refused before anything is allocated for it.
 */
import { Buffer } from "node:buffer";
import type { Framing } from "../http/message/head.ts";
import { ProtocolError } from "../http/message/protocol-error.ts";

export interface ReadHead<H> {
  readonly head: H & { readonly framing: Framing };
  /** Offset after the head. */
  readonly end: number;
}

export interface MessageUser<H> {
  /** Longest body that is accepted now. */
  readonly bodyBytesMax: number;
  /** Undefined: the head is not complete. Throws ProtocolError. */
  parseHead(bytes: Buffer, from: number, to: number): ReadHead<H> | undefined;
  onMessage(head: H, body: Uint8Array): void;
}

export class MessageReader<H> {
  readonly #user: MessageUser<H>;
  #rest: Buffer = Buffer.alloc(0);
  #body: { readonly head: H; readonly bytes: Buffer; filled: number } | undefined;

  constructor(user: MessageUser<H>) {
    this.#user = user;
  }

  /** Throws ProtocolError; the connection is of no use then. */
  read(chunk: Buffer): void {
    let from = this.#fill(chunk, 0);
    while (from < chunk.length) from = this.#fill(chunk, this.#readHead(chunk, from));
  }

  /** Takes what the body in progress needs. Returns the offset after it. */
  #fill(chunk: Buffer, from: number): number {
    const body = this.#body;
    if (body === undefined) return from;
    const count = chunk.copy(body.bytes, body.filled, from);
    body.filled += count;
    if (body.filled === body.bytes.length) {
      this.#body = undefined;
      this.#user.onMessage(body.head, body.bytes);
    }
    return from + count;
  }

  #readHead(chunk: Buffer, from: number): number {
    const kept = this.#rest.length;
    const bytes = kept === 0 ? chunk : Buffer.concat([this.#rest, chunk.subarray(from)]);
    const start = kept === 0 ? from : 0;
    const found = this.#user.parseHead(bytes, start, bytes.length);
    if (found === undefined) {
      this.#rest = Buffer.from(bytes.subarray(start));
      return chunk.length;
    }
    this.#rest = Buffer.alloc(0);
    const length = bodyLength(found.head.framing, this.#user.bodyBytesMax);
    const next = kept === 0 ? found.end : from + found.end - kept;
    this.#body = { head: found.head, bytes: Buffer.allocUnsafeSlow(length), filled: 0 };
    // A message without a body is complete with its head.
    if (length === 0) this.#fill(chunk, chunk.length);
    return next;
  }
}

function bodyLength(framing: Framing, bytesMax: number): number {
  if (framing.kind === "none") return 0;
  if (framing.kind !== "length") throw new ProtocolError(400, "length_required", "a body needs Content-Length here");
  if (framing.bytes > bytesMax)
    throw new ProtocolError(
      413,
      "body_too_large",
      `a body of ${framing.bytes} bytes, at most ${bytesMax} are accepted`,
    );
  return framing.bytes;
}
