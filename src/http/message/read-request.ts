/**
 * Interprets a scanned request head for this hop: framing, persistence, upgrade, expectation. Everything that RFC 9112
 * calls an error or that is known from request smuggling is refused here.
 */
import { Buffer } from "node:buffer";
import { COLON } from "./bytes.ts";
import { chunkedBody, noBody, type Framing, type HttpVersion, type RequestHead } from "./head.ts";
import { addConnectionOptions, HeaderList, withoutOptions } from "./headers.ts";
import { CONNECTION, CONTENT_LENGTH, EXPECT, HOST, LOGIN, TE, TRANSFER_ENCODING, UPGRADE } from "./known-fields.ts";
import { ProtocolError } from "./protocol-error.ts";
import { known, scanRequest, type HeadLimits } from "./scan-head.ts";

export interface ParsedRequest extends RequestHead {
  readonly framing: Framing;
  /** The client allows another request on this connection. */
  readonly keepAlive: boolean;
  /** Value of Upgrade if the client asks for a protocol that may be tunnelled. */
  readonly upgrade: string | undefined;
  readonly expectsContinue: boolean;
  readonly acceptsTrailers: boolean;
  /** It has credentials that log in the connection, not only this request: NTLM or Negotiate. */
  readonly logsInConnection: boolean;
  /** Options of Connection, lower case. */
  readonly connectionOptions: readonly string[];
}

export interface RequestLimits extends HeadLimits {
  readonly bodyBytesMax: number;
}

const noOptions: readonly string[] = [];
/** Known fields with higher numbers mean nothing to this hop, except `LOGIN`. */
const lastUnderstood = EXPECT;

/**
 * Reads the request at `from` and the offset after its head; returns undefined if it is not complete; throws
 * `ProtocolError`.
 */
export function readRequest(
  bytes: Buffer,
  from: number,
  to: number,
  limits: RequestLimits,
): { request: ParsedRequest; end: number } | undefined {
  const scanned = scanRequest(bytes, from, to, limits);
  if (scanned === undefined) return undefined;
  const { method, target, version, start, fieldsStart, end } = scanned;
  const { seen, isPlain } = known;
  let hostStart = -1;
  let hostEnd = -1;
  let contentLength = -1;
  let transferEncoding: string | undefined;
  let options: string[] | undefined;
  let upgrade: string | undefined;
  let expectsContinue = false;
  let acceptsTrailers = false;
  let logsInConnection = false;

  for (let i = 0; i < known.count; i++) {
    const field = known.field(i);
    if (field === LOGIN) logsInConnection ||= isConnectionScheme(bytes, known.valueStart(i), known.valueEnd(i));
    if (field > lastUnderstood) continue;
    if (field === CONTENT_LENGTH) {
      if (contentLength !== -1)
        throw new ProtocolError(400, "content_length_repeated", "Content-Length must occur once");
      contentLength = parseContentLength(bytes, known.valueStart(i), known.valueEnd(i));
      continue;
    }
    if (field === HOST) {
      if (hostStart !== -1) throw new ProtocolError(400, "host_repeated", "Host must occur once");
      hostStart = known.valueStart(i);
      hostEnd = known.valueEnd(i);
      if (!isValidHost(bytes, hostStart, hostEnd))
        throw new ProtocolError(400, "host_malformed", "Host must be a name or address with an optional port");
      continue;
    }
    const value = known.value(i, bytes);
    switch (field) {
      case TRANSFER_ENCODING:
        if (transferEncoding !== undefined)
          throw new ProtocolError(400, "transfer_encoding_repeated", "Transfer-Encoding must occur once");
        transferEncoding = value;
        break;
      case CONNECTION:
        addConnectionOptions((options ??= []), value);
        break;
      case UPGRADE:
        upgrade = upgrade === undefined ? value : `${upgrade}, ${value}`;
        break;
      case EXPECT:
        if (value.toLowerCase() !== "100-continue")
          throw new ProtocolError(417, "expectation_unknown", "only the expectation 100-continue is known");
        expectsContinue = version === "1.1";
        break;
      case TE:
        acceptsTrailers ||= value.toLowerCase().includes("trailers");
        break;
      default:
    }
  }
  const received = new HeaderList({ bytes, start, fieldsStart, fieldsEnd: end - 2, seen, hostStart, hostEnd, isPlain });
  const headers = withoutOptions(received, options);
  checkTarget(method, target, headers);
  if (hostStart === -1 && version === "1.1")
    throw new ProtocolError(400, "host_missing", "an HTTP/1.1 request must have Host");
  const framing = requestFraming(version, contentLength, transferEncoding, limits.bodyBytesMax);
  if (method === "TRACE" && framing.kind !== "none")
    throw new ProtocolError(400, "trace_with_body", "TRACE must not have a body");
  const mayUpgrade = version === "1.1" && framing.kind === "none" && options?.includes("upgrade") === true;
  const persists =
    version === "1.1"
      ? !(options?.includes("close") ?? false)
      : (options?.includes("keep-alive") ?? false) && !(options?.includes("close") ?? false);
  return {
    request: {
      method,
      target,
      version,
      headers,
      framing,
      keepAlive: persists,
      upgrade: upgrade !== undefined && mayUpgrade && isTunnelled(upgrade) ? upgrade : undefined,
      expectsContinue: expectsContinue && framing.kind !== "none",
      acceptsTrailers: acceptsTrailers && (options?.includes("te") ?? false),
      logsInConnection,
      connectionOptions: options ?? noOptions,
    },
    end,
  };
}

/** Most credentials are of other schemes, and are told apart by their first letter. */
const isConnectionScheme = (bytes: Buffer, from: number, end: number): boolean =>
  ((bytes[from] as number) | 0x20) === 110 && /^(?:ntlm|negotiate)(?: |$)/i.test(bytes.toString("latin1", from, end));

/**
 * HTTP/2 in clear text is never tunnelled, because its requests would pass unread. The offer is ignored, as RFC 9110,
 * 7.8 allows.
 */
function isTunnelled(upgrade: string): boolean {
  const lower = upgrade.toLowerCase();
  return !lower.includes("h2c") && !lower.includes("http/");
}

function requestFraming(
  version: HttpVersion,
  contentLength: number,
  transferEncoding: string | undefined,
  bodyBytesMax: number,
): Framing {
  if (transferEncoding !== undefined) {
    if (version === "1.0")
      throw new ProtocolError(400, "transfer_encoding_on_1_0", "HTTP/1.0 has no Transfer-Encoding");
    if (contentLength !== -1)
      throw new ProtocolError(400, "two_framings", "Content-Length and Transfer-Encoding exclude each other");
    checkOnlyChunked(transferEncoding);
    return chunkedBody;
  }
  if (contentLength === -1) return noBody;
  if (contentLength > bodyBytesMax)
    throw new ProtocolError(413, "body_too_large", "the body is larger than this server accepts");
  return contentLength === 0 ? emptyBody : { kind: "length", bytes: contentLength };
}

/** `Content-Length: 0`: there is no body, but the field is passed on. */
export const emptyBody: Framing = { kind: "length", bytes: 0 };

/** Accepts exactly one coding, `chunked`. Another valid coding gets 501, garbage 400; both close the connection. */
export function checkOnlyChunked(transferEncoding: string): void {
  const lower = transferEncoding.toLowerCase();
  if (lower === "chunked") return;
  const codings = lower.split(",").map((coding) => coding.trim());
  if (
    codings.every((coding) => ["chunked", "gzip", "x-gzip", "deflate", "compress", "x-compress"].includes(coding)) &&
    codings.indexOf("chunked") === codings.length - 1
  ) {
    throw new ProtocolError(501, "transfer_coding_not_supported", "the only supported transfer coding is chunked");
  }
  throw new ProtocolError(400, "transfer_encoding_malformed", "Transfer-Encoding must be exactly chunked");
}

/**
 * RFC 9112, 3.2: origin form, absolute form that agrees with Host, or `*` for OPTIONS. There is no forward proxy here.
 */
function checkTarget(method: string, target: string, headers: HeaderList): void {
  if (method === "CONNECT") throw new ProtocolError(501, "connect_not_supported", "CONNECT is not supported here");
  // RFC 9113, 3.4: reserved for the preface of HTTP/2, so that it can never be taken for a request.
  if (method === "PRI")
    throw new ProtocolError(505, "version_not_supported", "PRI belongs to HTTP/2, which is not supported");
  if (target.charCodeAt(0) === 47) return;
  if (target === "*") {
    if (method === "OPTIONS") return;
    throw new ProtocolError(400, "target_malformed", "the target * belongs to OPTIONS");
  }
  const authority = absoluteAuthority(target);
  if (authority === undefined)
    throw new ProtocolError(
      400,
      "target_malformed",
      "the request target must start with a slash or be an absolute http URI",
    );
  const bytes = Buffer.from(authority, "latin1");
  const host = headers.get("host");
  if (!isValidHost(bytes, 0, bytes.length) || (host !== undefined && host.toLowerCase() !== authority.toLowerCase())) {
    throw new ProtocolError(400, "target_contradicts_host", "the request target and Host name different authorities");
  }
}

function absoluteAuthority(target: string): string | undefined {
  const lower = target.slice(0, 8).toLowerCase();
  const start = lower.startsWith("http://") ? 7 : lower === "https://" ? 8 : -1;
  if (start === -1) return undefined;
  let end = start;
  while (end < target.length && target[end] !== "/" && target[end] !== "?") end++;
  return target.slice(start, end);
}

/**
 * Content-Length in `bytes` from `from` to `end`: 1*DIGIT (RFC 9110, 8.6), exact as a number; anything else is refused,
 * not interpreted.
 */
export function parseContentLength(bytes: Buffer, from: number, end: number): number {
  let length = 0;
  if (from === end) throw malformedLength();
  for (let i = from; i < end; i++) {
    const digit = (bytes[i] as number) - 48;
    if (digit < 0 || digit > 9) throw malformedLength();
    length = length * 10 + digit;
    if (length > Number.MAX_SAFE_INTEGER)
      throw new ProtocolError(400, "content_length_overflow", "Content-Length is too large to be counted exactly");
  }
  return length;
}

const malformedLength = (): ProtocolError =>
  new ProtocolError(400, "content_length_malformed", "Content-Length must be decimal digits only");

const hostBytes = (() => {
  const table = new Uint8Array(256);
  // RFC 3986: unreserved, sub-delims and percent; user info ("@"), slashes and brackets are not part of a name.
  for (const char of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+;=%")
    table[char.charCodeAt(0)] = 1;
  return table;
})();

/**
 * True if the bytes `from` to `end` are a value of `Host`, uri-host [":" port] (RFC 9110, 7.2). The value is only
 * checked, not interpreted: anything but a registered name, an IPv4 address or a bracketed IP literal with an optional
 * port is refused.
 */
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
