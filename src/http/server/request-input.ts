/** Bytes of a client connection that no request has taken yet, and the requests that are read out of them. */
import { Buffer } from "node:buffer";
import type { HttpLimits } from "../limits.ts";
import { readProxyHeader, type ProxySource } from "./proxy-protocol.ts";
import { readRequest, type ParsedRequest } from "../message/read-request.ts";

export interface NextRequest {
  readonly request: ParsedRequest;
  /** What follows the head: the body, then perhaps the next request. */
  readonly bytes: Buffer;
  readonly bodyStart: number;
}

export class RequestInput {
  readonly #limits: HttpLimits;
  readonly #onProxySource: (source: ProxySource) => void;
  #bytes: Buffer | undefined;
  #proxyHeaderDue: boolean;

  /** `proxyHeaderDue`: the connection starts with a PROXY protocol header, whose source is reported. */
  constructor(limits: HttpLimits, proxyHeaderDue: boolean, onProxySource: (source: ProxySource) => void) {
    this.#limits = limits;
    this.#proxyHeaderDue = proxyHeaderDue;
    this.#onProxySource = onProxySource;
  }

  /** Bytes that wait. */
  get length(): number {
    return this.#bytes?.length ?? 0;
  }

  keep(bytes: Buffer): void {
    this.#bytes = this.#bytes === undefined ? bytes : Buffer.concat([this.#bytes, bytes]);
  }

  /** All that waits, which is then no longer here. */
  take(): Buffer | undefined {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return bytes;
  }

  /**
   * The next request out of what waits and `fresh`, or undefined when it is not complete; then everything is kept.
   * Throws `ProtocolError`. A head is looked at again only when the fresh part has a line end: that bounds the work of
   * a client that sends byte by byte.
   */
  next(fresh: Buffer | undefined): NextRequest | undefined {
    const before = this.take();
    let bytes = before === undefined ? fresh : fresh === undefined ? before : Buffer.concat([before, fresh]);
    if (bytes !== undefined && this.#proxyHeaderDue) bytes = this.#readProxyHeader(bytes);
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
    // Kept for the case that it throws: what the client accepts says how it wants to hear of it.
    this.#bytes = bytes;
    const found = readRequest(bytes, 0, bytes.length, this.#limits);
    if (found === undefined) return undefined;
    this.#bytes = undefined;
    return { request: found.request, bytes, bodyStart: found.end };
  }

  /** The `Accept` field of what waits, looked for without any trust: for the refusal of a head that cannot be read. */
  get accept(): string | undefined {
    const head = this.#bytes?.toString("latin1", 0, this.#limits.headBytesMax);
    return head === undefined ? undefined : /\naccept:([^\r\n]*)/i.exec(head)?.[1];
  }

  /** What follows the header; undefined when nothing does yet. */
  #readProxyHeader(bytes: Buffer): Buffer | undefined {
    const header = readProxyHeader(bytes);
    if (header === undefined) {
      this.#bytes = bytes;
      return undefined;
    }
    this.#proxyHeaderDue = false;
    if (header.source !== undefined) this.#onProxySource(header.source);
    return header.end === bytes.length ? undefined : bytes.subarray(header.end);
  }
}
