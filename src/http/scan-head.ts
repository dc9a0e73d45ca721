/**
 * Finds and checks one head (start line and fields) in bytes, all or nothing.
 *
 * Stateless: the same bytes always give the same answer, however they arrived, so an incomplete head is simply scanned
 * again when more has come (the caller does that only when a line end has come, which bounds the work by
 * `headerCountMax`). Each byte is looked at once; the text is cut out of one string made from the whole head.
 *
 * Strict by RFC 9112: nothing is repaired. Bare CR or LF, obs-fold, space before the colon, an empty or non-token name and
 * control characters in values are errors, because two implementations may read them differently.
 */
import type { Buffer } from "node:buffer";
import { COLON, CR, fieldBytes, HTAB, LF, SP, targetBytes, tokenBytes } from "./bytes.ts";
import { CONTENT_LENGTH, knownField, TRANSFER_ENCODING } from "./known-fields.ts";
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
  readonly flat: string[];
  /** Offset of the first byte after the head. */
  readonly end: number;
}

export interface ScannedResponse {
  readonly status: number;
  readonly reason: string;
  readonly version: "1.0" | "1.1";
  readonly flat: string[];
  readonly end: number;
}

/** Offsets of the fields found last: name start, name end, value start, value end, … Reused: scanning is synchronous. */
const offsets: number[] = [];
let fieldCount = 0;

/** The request head at `from`, or undefined when it is not complete yet. One empty line before it is skipped (RFC 9112, 2.2). */
export function scanRequest(bytes: Buffer, from: number, to: number, limits: HeadLimits): ScannedRequest | undefined {
  let at = from;
  if (bytes[at] === CR && (at + 1 === to || bytes[at + 1] === LF)) at += 2;
  if (at >= to) return undefined;
  const start = at;

  while (at < to && tokenBytes[bytes[at] as number] === 1) at++;
  const methodEnd = at;
  if (methodEnd - start > limits.methodBytesMax) throw new ProtocolError(501, "method_too_long", "the method is longer than this server accepts");
  if (at >= to) return incomplete(from, to, limits);
  if (bytes[at] !== SP || methodEnd === start) throw malformedRequestLine("the method must be a token followed by one space");
  at++;

  const targetStart = at;
  while (at < to && targetBytes[bytes[at] as number] === 1) at++;
  const targetEnd = at;
  if (targetEnd - targetStart > limits.targetBytesMax) throw new ProtocolError(414, "target_too_long", "the request target is longer than this server accepts");
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
  if (version === undefined) throw new ProtocolError(505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here");
  at += 10;

  const end = scanFields(bytes, at, to, limits.headerCountMax);
  if (end === -1) return incomplete(from, to, limits);
  if (end - from > limits.headBytesMax) throw headTooLarge();
  const text = bytes.toString("latin1", start, end);
  return {
    method: text.slice(0, methodEnd - start),
    target: text.slice(targetStart - start, targetEnd - start),
    version: bytes[versionStart + 7] === 48 ? "1.0" : "1.1",
    flat: cutFields(text, start),
    end,
  };
}

/** The response head at `from`, or undefined when it is not complete yet. */
export function scanResponse(bytes: Buffer, from: number, to: number, limits: HeadLimits): ScannedResponse | undefined {
  if (to - from < 14) {
    checkVersionSoFar(bytes, from, Math.min(to, from + 8));
    return undefined;
  }
  const version = scanVersion(bytes, from);
  if (version === undefined) throw new ProtocolError(505, "version_not_supported", "only HTTP/1.0 and HTTP/1.1 are spoken here");
  let at = from + 8;
  const status = threeDigits(bytes, at + 1);
  if (bytes[at] !== SP || status < 100 || status > 599) throw malformedStatusLine("the status must be three digits from 100 to 599 after one space");
  at += 4;
  let reasonStart = at;
  // RFC 9112, 4: the space is part of the line, but servers leave it out with an empty reason; nobody reads that differently.
  if (bytes[at] === SP) {
    at++;
    reasonStart = at;
    while (at < to && fieldBytes[bytes[at] as number] === 1) at++;
  }
  const reasonEnd = at;
  if (at + 1 >= to) return incomplete(from, to, limits);
  if (bytes[at] !== CR || bytes[at + 1] !== LF) throw malformedStatusLine("the status line must end with CR LF and contain no control characters");
  at += 2;

  const end = scanFields(bytes, at, to, limits.headerCountMax);
  if (end === -1) return incomplete(from, to, limits);
  if (end - from > limits.headBytesMax) throw headTooLarge();
  const text = bytes.toString("latin1", from, end);
  return { status, reason: text.slice(reasonStart - from, reasonEnd - from), version, flat: cutFields(text, from), end };
}

/** A trailer section at `from`: its fields and the offset after it, or undefined when it is not complete yet. */
export function scanTrailers(bytes: Buffer, from: number, to: number, limits: HeadLimits): { flat: string[]; end: number } | undefined {
  const end = scanFields(bytes, from, to, limits.headerCountMax);
  if (end === -1) return incomplete(from, to, limits);
  if (end - from > limits.headBytesMax) throw headTooLarge();
  return { flat: fieldCount === 0 ? [] : cutFields(bytes.toString("latin1", from, end), from), end };
}

/** Offset after the empty line that ends the fields, or -1 when it has not come yet. Leaves the fields in `offsets`. */
function scanFields(bytes: Buffer, from: number, to: number, countMax: number): number {
  let at = from;
  let count = 0;
  for (;;) {
    if (at >= to) return -1;
    if (bytes[at] === CR) {
      if (at + 1 >= to) return -1;
      if (bytes[at + 1] !== LF) throw bareCarriageReturn();
      fieldCount = count;
      return at + 2;
    }
    if (count === countMax) throw new ProtocolError(431, "too_many_fields", "the head has more fields than this server accepts");
    const nameStart = at;
    while (at < to && tokenBytes[bytes[at] as number] === 1) at++;
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
    let tabAfter = false;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) {
      valueEnd--;
      if (bytes[valueEnd] === HTAB) tabAfter = true;
    }
    if (tabAfter) refuseTabAfterFraming(bytes, nameStart, nameEnd);
    const slot = count * 4;
    offsets[slot] = nameStart;
    offsets[slot + 1] = nameEnd;
    offsets[slot + 2] = valueStart;
    offsets[slot + 3] = valueEnd;
    count++;
    at += 2;
  }
}

function cutFields(text: string, base: number): string[] {
  const flat = new Array<string>(fieldCount * 2);
  for (let field = 0; field < fieldCount; field++) {
    const slot = field * 4;
    flat[field * 2] = text.slice((offsets[slot] as number) - base, (offsets[slot + 1] as number) - base);
    flat[field * 2 + 1] = text.slice((offsets[slot + 2] as number) - base, (offsets[slot + 3] as number) - base);
  }
  return flat;
}

/** `HTTP/1.0` or `HTTP/1.1` at `at`; undefined for another well-formed version; anything else throws. */
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

const headTooLarge = (): ProtocolError => new ProtocolError(431, "head_too_large", "the head is larger than this server accepts");
const malformedRequestLine = (why: string): ProtocolError => new ProtocolError(400, "request_line_malformed", why);
const malformedStatusLine = (why: string): ProtocolError => new ProtocolError(400, "status_line_malformed", why);
const bareCarriageReturn = (): ProtocolError => new ProtocolError(400, "bare_cr", "a CR must be followed by LF");

/**
 * A tab after a value is whitespace (RFC 9110, 5.6.3), but llhttp refuses it after Content-Length and does not recognise
 * `chunked` before it: readers differ about where the body ends, which is how requests are smuggled.
 */
function refuseTabAfterFraming(bytes: Buffer, nameStart: number, nameEnd: number): void {
  const field = knownField(bytes.toString("latin1", nameStart, nameEnd));
  if (field === CONTENT_LENGTH) throw new ProtocolError(400, "content_length_malformed", "Content-Length must be decimal digits only");
  if (field === TRANSFER_ENCODING) throw new ProtocolError(400, "transfer_encoding_malformed", "Transfer-Encoding must be exactly chunked");
}

function malformedName(byte: number, atStart: boolean): ProtocolError {
  if (atStart && (byte === SP || byte === HTAB)) return new ProtocolError(400, "obs_fold", "a field must not be folded over lines");
  if (byte === SP || byte === HTAB) return new ProtocolError(400, "space_before_colon", "no space is allowed between a field name and its colon");
  if (byte === LF) return new ProtocolError(400, "bare_lf", "a line must end with CR LF");
  return new ProtocolError(400, "field_name_malformed", "a field name must be a token followed by a colon");
}

function malformedValue(byte: number): ProtocolError {
  if (byte === LF) return new ProtocolError(400, "bare_lf", "a line must end with CR LF");
  return new ProtocolError(400, "field_value_malformed", "a field value must not contain control characters");
}
