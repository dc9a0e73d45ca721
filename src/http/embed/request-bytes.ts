/**
 * A request of an embedding server as the bytes of HTTP/1.1.
 *
 * What is written here is parsed again, so nothing in it may end a line or a field: a client of HTTP/2 could otherwise
 * put a second request into a value of the first. The embedding server should have refused that; this does not rely on
 * it.
 */
import { Buffer } from "node:buffer";
import { isToken } from "../message/bytes.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import { fieldsOf, isHttp2, type NodeMessages } from "./node-messages.ts";

export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "chunked" }
  | { readonly kind: "length"; readonly bytes: number };

export interface RequestBytes {
  readonly head: Buffer;
  readonly framing: BodyFraming;
}

/** Fields that are regenerated for this hop, or not possible on it. `Connection` is passed on for what it names. */
const notCopied = new Set([
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "content-length",
  "upgrade",
  "te",
  "trailer",
  "expect",
]);
/** Of one connection: HTTP/2 has none of them (RFC 9113, 8.2.2). */
const notInHttp2 = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/** Throws `ProtocolError`. */
export function requestBytes(request: Request, messages: NodeMessages | undefined): RequestBytes {
  const { method, target, version, fields, hasBody } =
    messages === undefined ? standard(request) : raw(request, messages);
  const framing = framingOf(fields, hasBody);
  const lines = [`${checkedToken(method)} ${checkedTarget(target)} HTTP/${checkedToken(version)}`, "Connection: close"];
  for (const [name, value] of fields)
    if (!notCopied.has(name.toLowerCase())) lines.push(`${checkedToken(name)}: ${checkedValue(value)}`);
  if (framing.kind === "chunked") lines.push("Transfer-Encoding: chunked");
  else if (framing.kind === "length") lines.push(`Content-Length: ${framing.bytes}`);
  return { head: Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), framing };
}

type Fields = readonly (readonly [name: string, value: string])[];

function framingOf(fields: Fields, hasBody: boolean): BodyFraming {
  const [length, ...more] = valuesOf(fields, "content-length");
  const codings = valuesOf(fields, "transfer-encoding");
  if (codings.some((coding) => coding.toLowerCase() !== "chunked") || codings.length > 1)
    throw new ProtocolError(501, "transfer_coding_not_supported", "only the transfer coding chunked is supported");
  if (length === undefined) return { kind: hasBody ? "chunked" : "none" };
  if (more.length > 0 || codings.length > 0) throw broken("a request with two framings");
  if (!/^\d{1,15}$/.test(length)) throw broken("a content-length that is no number");
  return { kind: "length", bytes: Number(length) };
}

interface Parts {
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly fields: Fields;
  readonly hasBody: boolean;
}

function standard(request: Request): Parts {
  const { pathname, search, host } = new URL(request.url);
  const fields = [...request.headers];
  const hasHost = request.headers.has("host");
  return {
    ...{ method: request.method, target: `${pathname}${search}`, version: "1.1", hasBody: request.body !== null },
    fields: hasHost ? fields : [["host", host], ...fields],
  };
}

/** With the target's exact bytes, the order of the fields, their case in HTTP/1.1, and duplicates. */
function raw(request: Request, messages: NodeMessages): Parts {
  const { incoming } = messages;
  const fields = fieldsOf(messages);
  const common = { method: incoming.method ?? request.method, target: incoming.url ?? "/" };
  if (isHttp2(incoming))
    return {
      ...{ ...common, version: "1.1", hasBody: !incoming.stream.endAfterHeaders },
      fields: fieldsOfHttp2(fields, incoming.authority),
    };
  const hasBody = ["transfer-encoding", "content-length"].some((name) => valuesOf(fields, name).length > 0);
  return { ...common, version: incoming.httpVersion, hasBody, fields };
}

/** `:authority` is what `Host` is in HTTP/1.1; both may be there if they agree (RFC 9113, 8.3.1). */
function fieldsOfHttp2(fields: Fields, authority: string | undefined): Fields {
  if (fields.some(([name]) => notInHttp2.has(name.toLowerCase()))) throw broken("a field of HTTP/1.1's connections");
  if (valuesOf(fields, "te").some((value) => value.toLowerCase() !== "trailers")) throw broken("te without trailers");
  if (authority === undefined || authority === "") return fields;
  if (valuesOf(fields, "host").some((host) => host.toLowerCase() !== authority.toLowerCase()))
    throw broken("a host that contradicts the authority");
  return [["host", authority], ...fields.filter(([name]) => name.toLowerCase() !== "host")];
}

const valuesOf = (fields: Fields, name: string): string[] =>
  fields.flatMap(([each, value]) => (each.toLowerCase() === name ? [value] : []));

function checkedToken(text: string): string {
  if (text === "" || !isToken(text)) throw broken("a name or method that is no token");
  return text;
}

function checkedTarget(target: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x20\x7f]/.test(target)) throw broken("a target with white space or control characters");
  return bytesOf(target);
}

function checkedValue(value: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00\r\n]/.test(value)) throw broken("a value that does not end where its field ends");
  return bytesOf(value);
}

/** Latin1 text, each letter one byte: beyond that the runtime has decoded UTF-8. */
const bytesOf = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a range of bytes
  /^[\x00-\xff]*$/.test(text) ? text : Buffer.from(text, "utf8").toString("latin1");

const broken = (what: string): ProtocolError => new ProtocolError(400, "request_malformed", `${what} is refused`);
