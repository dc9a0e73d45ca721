/**
 * Heads as they leave: what came in, in order and case, without the fields of the hop before and with those of the next.
 *
 * Framing is never copied but said again from what was understood, at the place where it stood: whatever an edit did to
 * the fields, the bytes that follow are what the head announces.
 */
import { chunkedBody, type Framing, type RequestHead, type ResponseHead } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import { CONNECTION, CONTENT_LENGTH, HOST, isHopByHop, knownField, OTHER, TRANSFER_ENCODING } from "./known-fields.ts";
import type { ParsedRequest } from "./read-request.ts";

/** The head for the upstream. `head` is the request as edited, `parsed` what its framing and hop fields were. */
export function requestBytes(head: RequestHead, parsed: ParsedRequest, hostWhenMissing: string): string {
  let text = `${head.method} ${head.target} HTTP/1.1\r\n`;
  const fields = forwardedFields(head.headers, parsed.connectionOptions, parsed.framing, false);
  if (head.version === "1.0" && !head.headers.has("host")) text += `Host: ${hostWhenMissing}\r\n`;
  text += fields;
  if (parsed.upgrade !== undefined) text += `Connection: Upgrade\r\nUpgrade: ${parsed.upgrade}\r\n`;
  else if (parsed.acceptsTrailers) text += "Connection: TE\r\nTE: trailers\r\n";
  return text + "\r\n";
}

/** The head of a final or interim response for the client. `connection` is the value of Connection, if one is needed. */
export function responseBytes(head: ResponseHead, options: readonly string[], framing: Framing, keepFraming: boolean, connection: string | undefined): string {
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`;
  text += forwardedFields(head.headers, options, framing, keepFraming);
  if (connection !== undefined) text += `Connection: ${connection}\r\n`;
  return text + "\r\n";
}

/** `keepFraming`: the response has no body but its framing fields describe one (HEAD, 304); they are passed on as they are. */
function forwardedFields(headers: HeaderList, options: readonly string[], framing: Framing, keepFraming: boolean): string {
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
    if (options.length > 0 && field !== CONNECTION && options.includes(name.toLowerCase())) continue;
    text += `${name}: ${flat[i + 1] as string}\r\n`;
  }
  if (!framed && !keepFraming) text += framing.kind === "length" ? `Content-Length: ${framing.bytes}\r\n` : "Transfer-Encoding: chunked\r\n";
  return text;
}

/** Last chunk and trailers of a chunked body. */
export function lastChunk(trailers: HeaderList | undefined): string {
  if (trailers === undefined) return "0\r\n\r\n";
  let text = "0\r\n";
  for (const [name, value] of trailers) text += `${name}: ${value}\r\n`;
  return text + "\r\n";
}
