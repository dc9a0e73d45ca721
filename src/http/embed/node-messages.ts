/**
 * The messages of node:http and node:http2 beside a `Request` and its `Response`: with them the data plane keeps more
 * than those two can carry. @hono/node-server passes them to an app as its environment.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { HeaderList } from "../message/headers.ts";
import type { ProxySource } from "../server/proxy-protocol.ts";

export interface NodeMessages {
  readonly incoming: IncomingMessage | Http2ServerRequest;
  readonly outgoing: ServerResponse | Http2ServerResponse;
  /** Named by a load balancer. Default: the other end of the messages' connection. */
  readonly client?: ProxySource | undefined;
}

/** Undefined: the embedding server passes none. */
export function nodeMessages(environment: unknown): NodeMessages | undefined {
  const { incoming, outgoing, client } = (environment ?? {}) as Partial<NodeMessages>;
  return incoming === undefined || outgoing === undefined ? undefined : { incoming, outgoing, client };
}

/** By TLS. HTTP/2 shows its connection's socket through a stand-in, which tells of its properties all the same. */
export const isEncrypted = (socket: Socket | TLSSocket): boolean => "encrypted" in socket && socket.encrypted;

/** In their order, with the names as they came; without HTTP/2's pseudo-fields. */
export function fieldsOf({ incoming }: NodeMessages): [string, string][] {
  const fields: [string, string][] = [];
  const cookies: string[] = [];
  const raw = incoming.rawHeaders;
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const [name = "", value = ""] = [raw[at], raw[at + 1]];
    if (isHttp2(incoming) && name.toLowerCase() === "cookie") cookies.push(value);
    else if (!name.startsWith(":")) fields.push([name, value]);
  }
  // HTTP/2 may split it; before HTTP/1.1 it is one field again (RFC 9113, 8.2.3).
  if (cookies.length > 0) fields.push(["cookie", cookies.join("; ")]);
  return fields;
}

/** Not by its version: node:http lets a head of HTTP/1.1 claim any. */
export const isHttp2 = (incoming: NodeMessages["incoming"]): incoming is Http2ServerRequest => "stream" in incoming;

interface Trailing {
  addTrailers(fields: Readonly<Record<string, readonly string[]>>): void;
}

/** Before the end of the body, which sends them. */
export function addTrailers({ outgoing }: NodeMessages, trailers: HeaderList): void {
  const fields: Record<string, string[]> = {};
  for (const [name, value] of trailers) (fields[name.toLowerCase()] ??= []).push(value);
  (outgoing as Trailing).addTrailers(fields);
}

/** Calls `onClosed` once, at the end of the answer or when its client is gone. */
export function whenClosed({ outgoing }: NodeMessages, onClosed: () => void): void {
  // Not every runtime tells the answer of HTTP/2 that its stream was cancelled.
  ("stream" in outgoing ? outgoing.stream : outgoing).once("close", onClosed);
}

/** Ends the answer so that its client sees that it is not complete. */
export function abortAnswer({ outgoing }: NodeMessages): void {
  if (outgoing.destroyed) return;
  if ("stream" in outgoing) outgoing.stream.destroy(new Error("the response was cut"));
  else outgoing.destroy();
}

/** 103, the one interim response that these messages have a call for. */
export function sendEarlyHints({ outgoing }: NodeMessages, headers: HeaderList): void {
  const fields: Record<string, string[]> = {};
  for (const [name, value] of headers) {
    const lower = name.toLowerCase();
    if (lower !== "connection" && lower !== "keep-alive") (fields[lower] ??= []).push(value);
  }
  if (fields["link"] !== undefined && !outgoing.headersSent)
    outgoing.writeEarlyHints({ ...fields, link: fields["link"] });
}
