/**
 * Reads the chunked coding (RFC 9112, 7.1), byte by byte outside of chunk data and strictly: sizes are 1*HEXDIG that
 * count exactly, every line ends with CR LF, extensions must follow the grammar without bad whitespace and are bounded
 * (and are then dropped, as every hop does), trailers follow the rules of fields and must not decide about framing,
 * routing or authentication.
 */
import { Buffer } from "node:buffer";
import { CR, hexValues, LF, tokenBytes } from "./bytes.ts";
import { HeaderList } from "./headers.ts";
import { CLAIM, imitatesKnownField, knownField, STEAD } from "./known-fields.ts";
import { ProtocolError } from "./protocol-error.ts";
import { scanTrailers, type HeadLimits } from "./scan-head.ts";

export interface BodySink {
  /** The bytes `from` to `to` are the next part of the body. */
  onBody(bytes: Buffer, from: number, to: number): void;
  onBodyEnd(trailers: HeaderList | undefined): void;
}

export interface BodyLimits extends HeadLimits {
  readonly bodyBytesMax: number;
  readonly chunkExtensionBytesMax: number;
}

const SIZE = 0;
const EXTENSION_NAME = 1;
const EXTENSION_VALUE = 2;
const EXTENSION_TOKEN = 3;
const EXTENSION_QUOTED = 4;
const EXTENSION_ESCAPED = 5;
const EXTENSION_AFTER_QUOTED = 6;
const SIZE_LF = 7;
const DATA = 8;
const DATA_CR = 9;
const DATA_LF = 10;
const TRAILERS = 11;

export class ChunkedReader {
  /** The whole body has been read. */
  isDone = false;
  readonly #limits: BodyLimits;
  readonly #bodyBytesMax: number;
  /** Bytes left of the chunk. */
  #left = 0;
  #state = SIZE;
  #size = 0;
  #sizeDigits = 0;
  #extensionBytes = 0;
  #extensionBytesInAll = 0;
  #nameBytes = 0;
  #bodyBytes = 0;
  #trailerBytes: Buffer | undefined;

  constructor(limits: BodyLimits, bodyBytesMax: number) {
    this.#limits = limits;
    this.#bodyBytesMax = bodyBytesMax;
  }

  get hasBytes(): boolean {
    return this.#trailerBytes !== undefined;
  }

  /** Passes the content in `chunk` to `sink` and returns the offset after the body's part. Throws `ProtocolError`. */
  read(chunk: Buffer, from: number, sink: BodySink): number {
    let at = from;
    while (at < chunk.length) {
      if (this.#state === DATA) {
        const end = Math.min(chunk.length, at + this.#left);
        this.#left -= end - at;
        sink.onBody(chunk, at, end);
        at = end;
        if (this.#left === 0) this.#state = DATA_CR;
      } else if (this.#state === TRAILERS) {
        return this.#readTrailers(chunk, at, sink);
      } else {
        this.#step(chunk[at] as number);
        at++;
      }
    }
    return at;
  }

  /** Takes one byte of a size line or of the line end after chunk data. */
  #step(byte: number): void {
    switch (this.#state) {
      case SIZE: {
        const value = hexValues[byte] as number;
        if (value !== 255) {
          this.#size = this.#size * 16 + value;
          if (this.#size > Number.MAX_SAFE_INTEGER || ++this.#sizeDigits > 16)
            throw bad("chunk_size_overflow", "a chunk size is too large to be counted exactly");
          return;
        }
        if (this.#sizeDigits === 0) throw bad("chunk_size_malformed", "a chunk size must be hexadecimal digits");
        if (byte === CR) this.#state = SIZE_LF;
        else if (byte === 59) this.#startExtension();
        else
          throw bad(
            "chunk_size_malformed",
            "a chunk size must be hexadecimal digits, followed by CR LF or an extension",
          );
        return;
      }
      case SIZE_LF:
        if (byte !== LF) throw bad("bare_cr", "a CR must be followed by LF");
        this.#startChunk();
        return;
      case DATA_CR:
        if (byte !== CR) throw bad("chunk_end_malformed", "chunk data must be followed by CR LF");
        this.#state = DATA_LF;
        return;
      case DATA_LF:
        if (byte !== LF) throw bad("chunk_end_malformed", "chunk data must be followed by CR LF");
        this.#state = SIZE;
        this.#size = 0;
        this.#sizeDigits = 0;
        return;
      default:
        this.#stepExtension(byte);
    }
  }

  #startChunk(): void {
    this.#bodyBytes += this.#size;
    if (this.#bodyBytes > this.#bodyBytesMax)
      throw new ProtocolError(413, "body_too_large", "the body is larger than this server accepts");
    this.#left = this.#size;
    this.#state = this.#size === 0 ? TRAILERS : DATA;
    this.#extensionBytes = 0;
  }

  #startExtension(): void {
    this.#state = EXTENSION_NAME;
    this.#nameBytes = 0;
  }

  /**
   * RFC 9112, 7.1.1: *( ";" name [ "=" ( token / quoted-string ) ] ), without the "bad whitespace" it calls an error.
   */
  #stepExtension(byte: number): void {
    if (
      ++this.#extensionBytes > this.#limits.chunkExtensionBytesMax ||
      ++this.#extensionBytesInAll > this.#limits.chunkExtensionBytesMax * 16
    ) {
      throw bad("chunk_extensions_too_long", "chunk extensions are longer than accepted");
    }
    switch (this.#state) {
      case EXTENSION_NAME:
        if (tokenBytes[byte] === 1) this.#nameBytes++;
        else if (this.#nameBytes === 0) throw badExtension();
        else if (byte === 61) this.#state = EXTENSION_VALUE;
        else this.#afterExtension(byte);
        return;
      case EXTENSION_VALUE:
        if (byte === 34) this.#state = EXTENSION_QUOTED;
        else if (tokenBytes[byte] === 1) this.#state = EXTENSION_TOKEN;
        else throw badExtension();
        return;
      case EXTENSION_TOKEN:
        if (tokenBytes[byte] !== 1) this.#afterExtension(byte);
        return;
      case EXTENSION_QUOTED:
        if (byte === 34) this.#state = EXTENSION_AFTER_QUOTED;
        else if (byte === 92) this.#state = EXTENSION_ESCAPED;
        else if (byte < 32 || byte === 127) throw badExtension();
        return;
      case EXTENSION_ESCAPED:
        if (byte < 32 || byte === 127) throw badExtension();
        this.#state = EXTENSION_QUOTED;
        return;
      default:
        this.#afterExtension(byte);
    }
  }

  #afterExtension(byte: number): void {
    if (byte === 59) this.#startExtension();
    else if (byte === CR) this.#state = SIZE_LF;
    else throw badExtension();
  }

  #readTrailers(chunk: Buffer, at: number, sink: BodySink): number {
    const held = this.#trailerBytes;
    const bytes = held === undefined ? chunk : Buffer.concat([held, at === 0 ? chunk : chunk.subarray(at)]);
    const from = held === undefined ? at : 0;
    if (held !== undefined && bytes.length < this.#limits.headBytesMax && !chunk.includes(LF, at)) {
      this.#trailerBytes = bytes;
      return chunk.length;
    }
    const found = scanTrailers(bytes, from, bytes.length, this.#limits);
    if (found === undefined) {
      this.#trailerBytes = held === undefined ? chunk.subarray(at) : bytes;
      return chunk.length;
    }
    for (let i = 0; i < found.flat.length; i += 2) {
      if (isForbiddenTrailer(found.flat[i] as string))
        throw bad(
          "trailer_forbidden",
          "a trailer must not be a field about framing, routing, authentication or content",
        );
    }
    this.isDone = true;
    this.#trailerBytes = undefined;
    const trailers = new HeaderList(found.flat).without(isForged);
    sink.onBodyEnd(trailers.flat.length === 0 ? undefined : trailers);
    return held === undefined ? found.end : at + found.end - held.length;
  }
}

const bad = (code: string, why: string): ProtocolError => new ProtocolError(400, code, why);
const badExtension = (): ProtocolError =>
  bad("chunk_extension_malformed", "a chunk extension must be ;name or ;name=value");

/**
 * Fields that are not allowed as trailers (RFC 9110, 6.5.1): they decide about framing, routing, request handling,
 * authentication or how the content is read, and merging them into the head would deceive the recipient.
 */
const forbidden = new Set([
  "transfer-encoding",
  "content-length",
  "host",
  "trailer",
  "connection",
  "keep-alive",
  "te",
  "upgrade",
  "proxy-connection",
  "cache-control",
  "expect",
  "max-forwards",
  "pragma",
  "range",
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "authorization",
  "proxy-authorization",
  "proxy-authenticate",
  "www-authenticate",
  "cookie",
  "set-cookie",
  "content-type",
  "content-encoding",
  "content-range",
  "age",
  "expires",
  "date",
  "location",
  "retry-after",
  "vary",
  "warning",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
]);

/** No part of this program sends trailers: one with its prefix, or that imitates a known field, is forged. */
const isForged = (name: string): boolean => knownField(name) === STEAD || imitatesKnownField(name);

function isForbiddenTrailer(name: string): boolean {
  return forbidden.has(name.toLowerCase()) || knownField(name) === CLAIM;
}
