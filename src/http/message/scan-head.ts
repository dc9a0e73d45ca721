/**
 * Finds and checks one head (start line and fields) in bytes, all or nothing.
 *
 * Stateless: the same bytes always give the same result, however they arrived, so an incomplete head is scanned again
 * when more arrives (the caller does so only after a line end, which bounds the work by `headerCountMax`). A scan
 * examines each byte once. It notes only the fields that this hop must understand (`known`); headers.ts cuts fields
 * out.
 *
 * Strict by RFC 9112: nothing is repaired. Bare CR or LF, obs-fold, space before the colon, an empty or non-token name
 * and control characters in values are errors, because two implementations may read them differently.
 */
import type { Buffer } from "node:buffer";
import { COLON, CR, fieldBytes, HTAB, LF, SP, targetBytes, tokenBytes, usualNameBytes } from "./bytes.ts";
import { splitLines } from "./headers.ts";
import {
  CONTENT_LENGTH,
  type FieldSet,
  type KnownField,
  knownFieldAt,
  ODD,
  OTHER,
  TRANSFER_ENCODING,
} from "./known-fields.ts";
import { ProtocolError } from "./protocol-error.ts";

export interface HeadLimits {
  readonly headBytesMax: number;
  readonly headerCountMax: number;
  readonly targetBytesMax: number;
  readonly methodBytesMax: number;
}

export interface ScannedRequest {
  readonly method: string;
  readonly target: string;
  readonly version: "1.0" | "1.1";
  readonly start: number;
  readonly fieldsStart: number;
  /** Offset of the first byte after the head. */
  readonly end: number;
}

export interface ScannedResponse {
  readonly status: number;
  readonly reason: string;
  readonly version: "1.0" | "1.1";
  readonly fieldsStart: number;
  readonly end: number;
}

/** The known fields of the last scanned head, in order. The next scan reuses the object: read it before. */
class KnownFieldsFound {
  count = 0;
  seen: FieldSet = 0;
  isPlain = true;
  /** Field, value start, value end, … */
  readonly #marks: number[] = [];

  clear(): void {
    this.count = 0;
    this.seen = 0;
    this.isPlain = true;
  }

  add(field: KnownField, valueStart: number, valueEnd: number): void {
    const slot = this.count * 3;
    this.#marks[slot] = field;
    this.#marks[slot + 1] = valueStart;
    this.#marks[slot + 2] = valueEnd;
    this.count++;
    this.seen |= 1 << field;
  }

  field(nth: number): KnownField {
    return this.#marks[nth * 3] as number;
  }

  valueStart(nth: number): number {
    return this.#marks[nth * 3 + 1] as number;
  }

  valueEnd(nth: number): number {
    return this.#marks[nth * 3 + 2] as number;
  }

  value(nth: number, bytes: Buffer): string {
    return bytes.toString("latin1", this.valueStart(nth), this.valueEnd(nth));
  }
}

export const known = new KnownFieldsFound();

/**
 * Scans the request head at `from`; returns undefined if it is not complete yet. Skips one empty line before it (RFC
 * 9112, 2.2).
 */
export function scanRequest(bytes: Buffer, from: number, to: number, limits: HeadLimits): ScannedRequest | undefined {
  let at = from;
  if (bytes[at] === CR && (at + 1 === to || bytes[at + 1] === LF)) at += 2;
  if (at >= to) return undefined;
  const start = at;

  while (at < to && tokenBytes[bytes[at] as number] === 1) at++;
  const methodEnd = at;
  if (methodEnd - start > limits.methodBytesMax)
    throw new ProtocolError(501, "method_too_long", "the method is longer than this server accepts");
  if (at >= to) return incomplete(from, to, limits);
  if (bytes[at] !== SP || methodEnd === start)
    throw malformedRequestLine("the method must be a token followed by one space");
  at++;

  const targetStart = at;
  while (at < to && targetBytes[bytes[at] as number] === 1) at++;
  const targetEnd = at;
  if (targetEnd - targetStart > limits.targetBytesMax)
    throw new ProtocolError(414, "target_too_long", "the request target is longer than this server accepts");
  if (at >= to) return incomplete(from, to, limits);
  if (bytes[at] !== SP || targetEnd === targetStart) {
    throw malformedRequestLine("the request target must be visible ASCII characters without #, followed by one space");
  }
  at++;

  const versionStart = at;
  if (at + 10 > to) {
    checkVersionSoFar(bytes, at, to);
    return incomplete(from, to, limits);
  }
  const version = scanVersion(bytes, at);
  if (bytes[at + 8] !== CR || bytes[at + 9] !== LF) throw malformedRequestLine("the version must be followed by CR LF");
  if (version === undefined)
    throw new ProtocolError(505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are supported");
  at += 10;

  const end = scanFields(bytes, at, to, limits.headerCountMax);
  if (end === -1) return incomplete(from, to, limits);
  if (end - from > limits.headBytesMax) throw headTooLarge();
  return {
    method: isGet(bytes, start, methodEnd) ? "GET" : bytes.toString("latin1", start, methodEnd),
    target: bytes.toString("latin1", targetStart, targetEnd),
    version: bytes[versionStart + 7] === 48 ? "1.0" : "1.1",
    start,
    fieldsStart: at,
    end,
  };
}

/** Scans the response head at `from`; returns undefined if it is not complete yet. */
export function scanResponse(bytes: Buffer, from: number, to: number, limits: HeadLimits): ScannedResponse | undefined {
  if (to - from < 14) {
    checkVersionSoFar(bytes, from, Math.min(to, from + 8));
    return undefined;
  }
  const version = scanVersion(bytes, from);
  if (version === undefined)
    throw new ProtocolError(505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are supported");
  let at = from + 8;
  const status = threeDigits(bytes, at + 1);
  if (bytes[at] !== SP || status < 100 || status > 599)
    throw malformedStatusLine("the status must be three digits from 100 to 599 after one space");
  at += 4;
  let reasonStart = at;
  // RFC 9112, 4: the space is part of the line, but servers omit it with an empty reason, and every recipient reads
  // that the same way.
  if (bytes[at] === SP) {
    at++;
    reasonStart = at;
    while (at < to && fieldBytes[bytes[at] as number] === 1) at++;
  }
  const reasonEnd = at;
  if (at + 1 >= to) return incomplete(from, to, limits);
  if (bytes[at] !== CR || bytes[at + 1] !== LF)
    throw malformedStatusLine("the status line must end with CR LF and contain no control characters");
  at += 2;

  const end = scanFields(bytes, at, to, limits.headerCountMax);
  if (end === -1) return incomplete(from, to, limits);
  if (end - from > limits.headBytesMax) throw headTooLarge();
  // A status line without its second space is written with it.
  if (reasonStart === from + 12) known.isPlain = false;
  return {
    status,
    reason: isOk(bytes, reasonStart, reasonEnd) ? "OK" : bytes.toString("latin1", reasonStart, reasonEnd),
    version,
    fieldsStart: at,
    end,
  };
}

/**
 * Scans a trailer section at `from`: its fields and the offset after it; returns undefined if it is not complete yet.
 */
export function scanTrailers(
  bytes: Buffer,
  from: number,
  to: number,
  limits: HeadLimits,
): { flat: string[]; end: number } | undefined {
  const end = scanFields(bytes, from, to, limits.headerCountMax);
  if (end === -1) return incomplete(from, to, limits);
  if (end - from > limits.headBytesMax) throw headTooLarge();
  return { flat: splitLines(bytes.toString("latin1", from, end - 2)), end };
}

/** Recognises the usual method and reason phrase without making a string each time. */
const isGet = (bytes: Buffer, from: number, end: number): boolean =>
  end - from === 3 && bytes[from] === 71 && bytes[from + 1] === 69 && bytes[from + 2] === 84;
const isOk = (bytes: Buffer, from: number, end: number): boolean =>
  end - from === 2 && bytes[from] === 79 && bytes[from + 1] === 75;

/**
 * Returns the offset after the empty line that ends the fields, or -1 if it has not arrived yet. Leaves the known
 * fields in `known`.
 */
function scanFields(bytes: Buffer, from: number, to: number, countMax: number): number {
  known.clear();
  let at = from;
  let count = 0;
  for (;;) {
    if (at >= to) return -1;
    if (bytes[at] === CR) {
      if (at + 1 >= to) return -1;
      if (bytes[at + 1] !== LF) throw bareCarriageReturn();
      return at + 2;
    }
    if (count === countMax)
      throw new ProtocolError(431, "too_many_fields", "the head has more fields than this server accepts");
    const nameStart = at;
    while (at < to && usualNameBytes[bytes[at] as number] === 1) at++;
    if (at < to && tokenBytes[bytes[at] as number] === 1) {
      known.seen |= 1 << ODD;
      while (at < to && tokenBytes[bytes[at] as number] === 1) at++;
    }
    if (at >= to) return -1;
    if (bytes[at] !== COLON || at === nameStart) throw malformedName(bytes[at] as number, at === nameStart);
    const nameEnd = at;
    at++;
    while (at < to && (bytes[at] === SP || bytes[at] === HTAB)) at++;
    const valueStart = at;
    while (at < to && fieldBytes[bytes[at] as number] === 1) at++;
    if (at + 1 >= to) {
      if (at < to && bytes[at] !== CR) throw malformedValue(bytes[at] as number);
      return -1;
    }
    if (bytes[at] !== CR) throw malformedValue(bytes[at] as number);
    if (bytes[at + 1] !== LF) throw bareCarriageReturn();
    let valueEnd = at;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    if (valueEnd !== at || valueStart !== nameEnd + 2 || bytes[nameEnd + 1] !== SP) known.isPlain = false;
    const field = knownFieldAt(bytes, nameStart, nameEnd);
    if (field !== OTHER) {
      if (valueEnd !== at) refuseTabAfterFraming(bytes, field, valueEnd, at);
      if (!isPlainFraming(bytes, field, valueStart, valueEnd)) known.isPlain = false;
      known.add(field, valueStart, valueEnd);
    }
    count++;
    at += 2;
  }
}

/** Returns `HTTP/1.0` or `HTTP/1.1` at `at`; undefined for another well-formed version; throws for anything else. */
function scanVersion(bytes: Buffer, at: number): "1.0" | "1.1" | undefined {
  checkVersionSoFar(bytes, at, at + 8);
  if (bytes[at + 5] !== 49) return undefined;
  return bytes[at + 7] === 49 ? "1.1" : bytes[at + 7] === 48 ? "1.0" : undefined;
}

const versionPattern = [72, 84, 84, 80, 47, -1, 46, -1];

function checkVersionSoFar(bytes: Buffer, from: number, to: number): void {
  for (let i = 0; i < 8 && from + i < to; i++) {
    const byte = bytes[from + i] as number;
    const wanted = versionPattern[i] as number;
    if (wanted === -1 ? byte < 48 || byte > 57 : byte !== wanted) {
      throw new ProtocolError(400, "version_malformed", "the version must be HTTP/ and a digit, a dot and a digit");
    }
  }
}

function threeDigits(bytes: Buffer, at: number): number {
  let value = 0;
  for (let i = at; i < at + 3; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

function incomplete(from: number, to: number, limits: HeadLimits): undefined {
  if (to - from >= limits.headBytesMax) throw headTooLarge();
  return undefined;
}

const headTooLarge = (): ProtocolError =>
  new ProtocolError(431, "head_too_large", "the head is larger than this server accepts");
const malformedRequestLine = (why: string): ProtocolError => new ProtocolError(400, "request_line_malformed", why);
const malformedStatusLine = (why: string): ProtocolError => new ProtocolError(400, "status_line_malformed", why);
const bareCarriageReturn = (): ProtocolError => new ProtocolError(400, "bare_cr", "a CR must be followed by LF");

/**
 * True if framing has the form in which it is written here: a length without leading zeros, `chunked` in lower case.
 */
function isPlainFraming(bytes: Buffer, field: KnownField, from: number, end: number): boolean {
  if (field === CONTENT_LENGTH) return bytes[from] !== 48 || end - from === 1;
  return field !== TRANSFER_ENCODING || bytes.toString("latin1", from, end) === "chunked";
}

/**
 * A tab after a value is whitespace (RFC 9110, 5.6.3), but llhttp refuses it after Content-Length and does not
 * recognise `chunked` before it: readers differ about where the body ends, which is how requests are smuggled.
 */
function refuseTabAfterFraming(bytes: Buffer, field: KnownField, valueEnd: number, lineEnd: number): void {
  if ((field !== CONTENT_LENGTH && field !== TRANSFER_ENCODING) || !bytes.subarray(valueEnd, lineEnd).includes(HTAB))
    return;
  if (field === CONTENT_LENGTH)
    throw new ProtocolError(400, "content_length_malformed", "Content-Length must be decimal digits only");
  throw new ProtocolError(400, "transfer_encoding_malformed", "Transfer-Encoding must be exactly chunked");
}

function malformedName(byte: number, atStart: boolean): ProtocolError {
  if (atStart && (byte === SP || byte === HTAB))
    return new ProtocolError(400, "obs_fold", "a field must not be folded over lines");
  if (byte === SP || byte === HTAB)
    return new ProtocolError(400, "space_before_colon", "no space is allowed between a field name and its colon");
  if (byte === LF) return new ProtocolError(400, "bare_lf", "a line must end with CR LF");
  return new ProtocolError(400, "field_name_malformed", "a field name must be a token followed by a colon");
}

function malformedValue(byte: number): ProtocolError {
  if (byte === LF) return new ProtocolError(400, "bare_lf", "a line must end with CR LF");
  return new ProtocolError(400, "field_value_malformed", "a field value must not contain control characters");
}
