/**
 * `Host` is uri-host [":" port] (RFC 9110, 7.2). The value is not interpreted here, only checked: what is not a registered
 * name, an IPv4 address or a bracketed IP literal with an optional port is refused.
 */
import type { Buffer } from "node:buffer";
import { COLON } from "./bytes.ts";

const hostBytes = (() => {
  const table = new Uint8Array(256);
  // RFC 3986: unreserved, sub-delims and percent; user info ("@"), slashes and brackets are not part of a name.
  for (const char of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+;=%") table[char.charCodeAt(0)] = 1;
  return table;
})();

/** Whether the bytes `from` to `end` are such a value. */
export function isValidHost(bytes: Buffer, from: number, end: number): boolean {
  let at = from;
  if (bytes[at] === 91) {
    for (at++; at < end && bytes[at] !== 93; at++) {
      if (bytes[at] !== COLON && hostBytes[bytes[at] as number] !== 1) return false;
    }
    if (at === end || at - from < 3) return false;
    at++;
  } else {
    while (at < end && hostBytes[bytes[at] as number] === 1) at++;
    if (at === from) return false;
  }
  if (at === end) return true;
  if (bytes[at] !== COLON || end - at > 6) return false;
  for (at++; at < end; at++) {
    if ((bytes[at] as number) < 48 || (bytes[at] as number) > 57) return false;
  }
  return true;
}
