/** Content-Length is 1*DIGIT (RFC 9110, 8.6) and must be exact as a number; anything else is refused, not interpreted. */
import type { Buffer } from "node:buffer";
import { ProtocolError } from "./protocol-error.ts";

/** The value in `bytes` from `from` to `end`. */
export function parseContentLength(bytes: Buffer, from: number, end: number): number {
  let length = 0;
  if (from === end) throw invalid();
  for (let i = from; i < end; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) throw invalid();
    length = length * 10 + digit;
    if (length > Number.MAX_SAFE_INTEGER) throw new ProtocolError(400, "content_length_overflow", "Content-Length is too large to be counted exactly");
  }
  return length;
}

const invalid = (): ProtocolError => new ProtocolError(400, "content_length_malformed", "Content-Length must be decimal digits only");
