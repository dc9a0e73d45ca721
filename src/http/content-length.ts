/** Content-Length is 1*DIGIT (RFC 9110, 8.6) and must be exact as a number; anything else is refused, not interpreted. */
import { ProtocolError } from "./protocol-error.ts";

export function parseContentLength(value: string): number {
  let length = 0;
  if (value.length === 0) throw invalid();
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) throw invalid();
    length = length * 10 + digit;
    if (length > Number.MAX_SAFE_INTEGER) throw new ProtocolError(400, "content_length_overflow", "Content-Length is too large to be counted exactly");
  }
  return length;
}

const invalid = (): ProtocolError => new ProtocolError(400, "content_length_malformed", "Content-Length must be decimal digits only");
