/** Interprets a scanned response head: framing and persistence, as strict towards upstreams as towards clients. */
import type { Buffer } from "node:buffer";
import { chunkedBody, closeDelimitedBody, noBody, type Framing, type ResponseHead } from "./head.ts";
import { addConnectionOptions, HeaderList, withoutOptions } from "./headers.ts";
import { CONNECTION, CONTENT_LENGTH, KEEP_ALIVE, LOGIN, TRANSFER_ENCODING, UPGRADE } from "./known-fields.ts";
import { ProtocolError } from "./protocol-error.ts";
import { checkOnlyChunked, parseContentLength } from "./read-request.ts";
import { known, scanResponse, type HeadLimits } from "./scan-head.ts";

export interface ParsedResponse extends ResponseHead {
  readonly framing: Framing;
  readonly keepAlive: boolean;
  /** `timeout` of Keep-Alive in milliseconds: how long the upstream keeps an unused connection. */
  readonly keepAliveMs: number | undefined;
  readonly upgrade: string | undefined;
  /** The application logs in connections: it asks for NTLM or Negotiate, or says that this connection is logged in. */
  readonly logsInConnection: boolean;
}

/**
 * Reads the response to a request with `method` at `from`; returns undefined if its head is not complete; throws
 * `ProtocolError`.
 */
export function readResponse(
  bytes: Buffer,
  from: number,
  to: number,
  method: string,
  limits: HeadLimits,
): { response: ParsedResponse; end: number } | undefined {
  const scanned = scanResponse(bytes, from, to, limits);
  if (scanned === undefined) return undefined;
  const { status, version, fieldsStart, end } = scanned;
  const { seen, isPlain } = known;
  let contentLength = -1;
  let transferEncoding: string | undefined;
  let options: string[] | undefined;
  let keepAliveMs: number | undefined;
  let upgrade: string | undefined;
  let logsInConnection = false;

  for (let i = 0; i < known.count; i++) {
    const field = known.field(i);
    if (field === LOGIN) logsInConnection ||= connectionLogin.test(known.value(i, bytes));
    if (field > UPGRADE) continue;
    if (field === CONTENT_LENGTH) {
      if (contentLength !== -1)
        throw new ProtocolError(400, "content_length_repeated", "Content-Length must occur once");
      contentLength = parseContentLength(bytes, known.valueStart(i), known.valueEnd(i));
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
      case KEEP_ALIVE:
        keepAliveMs = keepAliveTimeout(value);
        break;
      case UPGRADE:
        upgrade = value;
        break;
      default:
    }
  }
  if (transferEncoding !== undefined) {
    if (version === "1.0")
      throw new ProtocolError(400, "transfer_encoding_on_1_0", "HTTP/1.0 has no Transfer-Encoding");
    if (contentLength !== -1)
      throw new ProtocolError(400, "two_framings", "Content-Length and Transfer-Encoding exclude each other");
    checkOnlyChunked(transferEncoding);
  }
  const framing = responseFraming(status, method, contentLength, transferEncoding !== undefined);
  const source = { bytes, start: from, fieldsStart, fieldsEnd: end - 2, seen, hostStart: -1, hostEnd: -1, isPlain };
  const received = new HeaderList(source);
  const closes = options?.includes("close") ?? false;
  return {
    response: {
      status,
      reason: scanned.reason,
      version,
      headers: withoutOptions(received, options),
      framing,
      keepAlive:
        framing.kind !== "close" && !closes && (version === "1.1" || (options?.includes("keep-alive") ?? false)),
      keepAliveMs,
      upgrade,
      logsInConnection,
    },
    end,
  };
}

/** RFC 9112, 6.3. */
/** A challenge may be one of several in a field; `true` is the value of `Persistent-Auth`. */
const connectionLogin = /(?:^|[\s,])(?:ntlm|negotiate)(?:$|[\s,])|^true$/i;

function responseFraming(status: number, method: string, contentLength: number, chunked: boolean): Framing {
  if (status < 200 || status === 204) {
    // RFC 9110, 8.6 and RFC 9112, 6.1: neither field is allowed; `Content-Length: 0` is common and changes nothing.
    if (chunked || contentLength > 0)
      throw new ProtocolError(400, "body_not_allowed", "a response with this status cannot announce a body");
    return noBody;
  }
  if (status === 304 || method === "HEAD") return noBody;
  if (chunked) return chunkedBody;
  return contentLength === -1 ? closeDelimitedBody : { kind: "length", bytes: contentLength };
}

function keepAliveTimeout(value: string): number | undefined {
  const found = /(?:^|[\s,])timeout=(\d{1,6})/i.exec(value);
  return found === null ? undefined : Number(found[1]) * 1000;
}
