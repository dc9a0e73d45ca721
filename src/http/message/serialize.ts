/**
 * Serialises heads: fields in their order and case, without those of the previous hop and with those of the next.
 *
 * Framing fields are regenerated from the parsed framing, in their original position, so the head always matches the
 * body whatever an edit did to the fields.
 *
 * Most heads need none of this: if rewriting would produce the same bytes, the head passes as received, with the added
 * fields. That holds if nothing was removed, no field belongs to the previous hop, and each line has the form written
 * here (`isPlain`). Content-Length is then exactly the parsed one: there is at most one, in plain digits.
 */
import type { Buffer } from "node:buffer";
import { BufferView, type Piece } from "../../runtime/tcp/tcp.ts";
import { chunkedBody, type Framing, type ResponseHead } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import {
  CONNECTION,
  CONTENT_LENGTH,
  fieldSet,
  HOST,
  HTTP2_SETTINGS,
  isHopByHop,
  KEEP_ALIVE,
  knownField,
  OTHER,
  PROXY_CONNECTION,
  TE,
  TRANSFER_ENCODING,
  UPGRADE,
} from "./known-fields.ts";
import type { ParsedRequest } from "./read-request.ts";
import type { ParsedResponse } from "./read-response.ts";

const hopFields = fieldSet(CONNECTION, KEEP_ALIVE, TE, UPGRADE, PROXY_CONNECTION, HTTP2_SETTINGS);
const requestRewritten = hopFields | fieldSet(TRANSFER_ENCODING);
const framingFields = fieldSet(CONTENT_LENGTH, TRANSFER_ENCODING);

/**
 * Adds the head for the upstream to `pieces`. `headers` are its fields as edited, `parsed` the request as received. A
 * request without Host gets `client.localAuthority`.
 */
export function pushRequestHead(
  pieces: Piece[],
  headers: HeaderList,
  parsed: ParsedRequest,
  client: { readonly localAuthority: string },
): void {
  const { source, added } = headers;
  if (source?.isPlain === true && parsed.version === "1.1" && (source.seen & requestRewritten) === 0) {
    pieces.push(new BufferView(source.bytes, source.start, source.fieldsEnd), `${added}\r\n`);
  } else pieces.push(requestText(headers, parsed, client));
}

function requestText(headers: HeaderList, parsed: ParsedRequest, client: { readonly localAuthority: string }): string {
  let text = `${parsed.method} ${parsed.target} HTTP/1.1\r\n`;
  const fields = forwardedFields(headers, parsed.framing, false);
  if (parsed.version === "1.0" && !headers.has("host")) text += `Host: ${client.localAuthority}\r\n`;
  text += fields;
  if (parsed.upgrade !== undefined) text += `Connection: Upgrade\r\nUpgrade: ${parsed.upgrade}\r\n`;
  else if (parsed.acceptsTrailers) text += "Connection: TE\r\nTE: trailers\r\n";
  return text + "\r\n";
}

/**
 * True if the head of a final response, with `headers`, may go to the client byte by byte as received. `framing` is how
 * its body is sent on, `keepFraming` means that its framing fields describe a body that is absent.
 */
export function passesAsItCame(
  headers: HeaderList,
  response: ParsedResponse,
  framing: Framing,
  keepFraming: boolean,
): boolean {
  const { source, added } = headers;
  if (
    source === undefined ||
    !source.isPlain ||
    added !== "" ||
    response.version !== "1.1" ||
    (source.seen & hopFields) !== 0
  )
    return false;
  // 204 has no framing fields; a body that ends with the upstream's connection gets other framing for the client.
  return (
    framing === response.framing && (framing.kind !== "none" || keepFraming || (source.seen & framingFields) === 0)
  );
}

/**
 * Returns the head of a final or interim response for the client. `connection` is the value of Connection, if one is
 * needed.
 */
export function responseText(
  head: ResponseHead,
  headers: HeaderList,
  framing: Framing,
  keepFraming: boolean,
  connection: string | undefined,
): string {
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`;
  text += forwardedFields(headers, framing, keepFraming);
  if (connection !== undefined) text += `Connection: ${connection}\r\n`;
  return text + "\r\n";
}

/**
 * `keepFraming`: the response has no body but its framing fields describe one (HEAD, 304); they are passed on as they
 * are.
 */
function forwardedFields(headers: HeaderList, framing: Framing, keepFraming: boolean): string {
  const { flat } = headers;
  let text = "";
  let framed = framing.kind === "none" || framing.kind === "close";
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] as string;
    const field = knownField(name);
    if (field !== OTHER && field !== HOST) {
      if (field === CONTENT_LENGTH || field === TRANSFER_ENCODING) {
        if (keepFraming) text += `${name}: ${flat[i + 1] as string}\r\n`;
        else if (!framed) {
          const announced = field === CONTENT_LENGTH ? framing.kind === "length" : framing === chunkedBody;
          if (announced) {
            text += framing.kind === "length" ? `${name}: ${framing.bytes}\r\n` : `${name}: chunked\r\n`;
            framed = true;
          }
        }
        continue;
      }
      if (isHopByHop(field)) continue;
    }
    text += `${name}: ${flat[i + 1] as string}\r\n`;
  }
  if (!framed && !keepFraming)
    text += framing.kind === "length" ? `Content-Length: ${framing.bytes}\r\n` : "Transfer-Encoding: chunked\r\n";
  return text;
}

/** Adds one chunk (RFC 9112, 7.1) to `pieces`; an empty one would end the body and is left out. */
export function pushChunk(pieces: Piece[], data: Buffer): void {
  if (data.length === 0) return;
  pieces.push(`${data.length.toString(16)}\r\n`, data, "\r\n");
}

/** Returns the last chunk and the trailers of a chunked body. */
export function lastChunk(trailers: HeaderList | undefined): string {
  if (trailers === undefined) return "0\r\n\r\n";
  let text = "0\r\n";
  for (const [name, value] of trailers) text += `${name}: ${value}\r\n`;
  return text + "\r\n";
}
