/** Buffers the bytes of a client connection that no request has taken yet, and reads requests out of them. */
import { Buffer } from "node:buffer";
import type { HttpLimits } from "../limits.ts";
import { readProxyHeader, type ProxySource } from "./proxy-protocol.ts";
import { readRequest, type ParsedRequest } from "../message/read-request.ts";

export interface NextRequest {
  readonly request: ParsedRequest;
  /** The bytes after the head: the body, then perhaps the next request. */
  readonly bytes: Buffer;
  readonly bodyStart: number;
}

export class RequestParser {
  readonly #limits: HttpLimits;
  readonly #onProxySource: (source: ProxySource) => void;
  #bytes: Buffer | undefined;
  #isProxyHeaderDue: boolean;

  /** `proxyHeaderDue`: the connection starts with a PROXY protocol header, whose source is reported. */
  constructor(limits: HttpLimits, proxyHeaderDue: boolean, onProxySource: (source: ProxySource) => void) {
    this.#limits = limits;
    this.#isProxyHeaderDue = proxyHeaderDue;
    this.#onProxySource = onProxySource;
  }

  /** Number of buffered bytes. */
  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  keep(bytes: Buffer): void {
    this.#bytes = this.#bytes === undefined ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** Removes and returns all buffered bytes. */
  take(): Buffer | undefined {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return bytes;
  }

  /**
   * Returns the next request from the buffer and `fresh`, or undefined if it is not complete; everything is then kept.
   * Throws `ProtocolError`. A head is scanned again only if the fresh part has a line end, which bounds the work for a
   * client that sends byte by byte.
   */
  next(fresh: Buffer | undefined): NextRequest | undefined {
    const before = this.take();
    let bytes = before === undefined ? fresh : fresh === undefined ? before : Buffer.concat([before, fresh]);
    if (bytes !== undefined && this.#isProxyHeaderDue) bytes = this.#readProxyHeader(bytes);
    else if (
      before !== undefined &&
      fresh !== undefined &&
      bytes !== undefined &&
      bytes.length < this.#limits.headBytesMax &&
      !fresh.includes(10)
    ) {
      this.#bytes = bytes;
      return undefined;
    }
    if (bytes === undefined) return undefined;
    // Kept in case it throws: the client's Accept field decides the form of the refusal.
    this.#bytes = bytes;
    const found = readRequest(bytes, 0, bytes.length, this.#limits);
    if (found === undefined) return undefined;
    this.#bytes = undefined;
    return { request: found.request, bytes, bodyStart: found.end };
  }

  /** Searches the buffer, untrusted, for the `Accept` field, for the refusal of a head that cannot be read. */
  get accept(): string | undefined {
    const head = this.#bytes?.toString("latin1", 0, this.#limits.headBytesMax);
    return head === undefined ? undefined : /\naccept:([^\r\n]*)/i.exec(head)?.[1];
  }

  /** Returns the bytes after the header; undefined if there are none yet. */
  #readProxyHeader(bytes: Buffer): Buffer | undefined {
    const header = readProxyHeader(bytes);
    if (header === undefined) {
      this.#bytes = bytes;
      return undefined;
    }
    this.#isProxyHeaderDue = false;
    if (header.source !== undefined) this.#onProxySource(header.source);
    return header.end === bytes.length ? undefined : bytes.subarray(header.end);
  }
}
