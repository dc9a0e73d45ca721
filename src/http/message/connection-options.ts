/**
 * The options of `Connection` (RFC 9110, 7.6.1): lower case, in one list for all its fields.
 *
 * A sender must not name an end-to-end field there; naming those that decide where a message ends, where it goes or who
 * sent it is an attempt to have this proxy remove them, and is refused.
 */
import { isToken } from "./bytes.ts";
import { ProtocolError } from "./protocol-error.ts";

const neverOptions = new Set([
  "host", "content-length", "content-type", "content-encoding", "content-range", "authorization", "cookie", "set-cookie",
  "cache-control", "expect", "date", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip",
]);

/** Adds the options of one field value to `options`. */
export function addConnectionOptions(options: string[], value: string): void {
  for (const part of value.split(",")) {
    const option = trimOws(part).toLowerCase();
    if (option === "") continue;
    if (!isToken(option)) throw new ProtocolError(400, "connection_malformed", "Connection must be a list of tokens");
    if (neverOptions.has(option)) throw new ProtocolError(400, "connection_names_end_to_end_field", "Connection must not name a field that is meant for the end of the chain");
    options.push(option);
  }
}

/** Without spaces and tabs at both ends. */
export function trimOws(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isOws(text.charCodeAt(start))) start++;
  while (end > start && isOws(text.charCodeAt(end - 1))) end--;
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

const isOws = (code: number): boolean => code === 32 || code === 9;
