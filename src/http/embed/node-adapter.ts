/**
 * One request of node:http or node:http2 to an app, and its answer back. Beside @hono/node-server, which serves those
 * who embed the app, this adds nothing to an answer (no `Content-Type`, no text of an error behind a part of a body),
 * and a request that `Request` refuses (TRACE, an unusual target) reaches the data plane all the same, which reads the
 * messages themselves.
 */
import type { ServerResponse } from "node:http";
import { fieldsOf, isEncrypted, isHttp2, type NodeMessages, whenClosed } from "./node-messages.ts";

export type AppFetch = (request: Request, environment: NodeMessages) => Response | Promise<Response>;

/** Never rejects because of the client. */
export async function answerBy(fetch: AppFetch, messages: NodeMessages): Promise<void> {
  const { outgoing } = messages;
  const gone = new AbortController();
  whenClosed(messages, () => gone.abort());
  outgoing.on("error", () => undefined); // `close` follows
  const response = await fetch(requestOf(messages, gone.signal), messages);
  if (outgoing.destroyed || outgoing.closed) return;
  outgoing.sendDate = false;
  // HTTP/2 has no reason phrase.
  if ("stream" in outgoing) outgoing.writeHead(response.status, headersOf(response));
  else outgoing.writeHead(response.status, response.statusText, headersOf(response));
  if (response.body !== null) await writeBody(messages, response.body);
  if (!outgoing.destroyed) outgoing.end();
}

/** A body that breaks off is cut off by who made it (fetch-adapter.ts): then `outgoing` is closed. */
async function writeBody(messages: NodeMessages, body: ReadableStream<Uint8Array>): Promise<void> {
  const { outgoing } = messages;
  const reader = body.getReader();
  const closed = new Promise<void>((resolve) => whenClosed(messages, resolve));
  closed.then(() => reader.cancel()).catch(() => undefined); // a body that has failed cannot be cancelled
  for (;;) {
    const { done, value } = await reader.read();
    if (done || outgoing.destroyed) return;
    if ((outgoing as ServerResponse).write(value)) continue;
    await Promise.race([closed, new Promise<void>((resolve) => outgoing.once("drain", resolve))]);
  }
}

function headersOf(response: Response): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of response.headers) if (name !== "set-cookie") headers[name] = value;
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies;
  return headers;
}

/** For the app's router, which looks at nothing that the data plane would need. */
function requestOf(messages: NodeMessages, signal: AbortSignal): Request {
  const { incoming } = messages;
  const scheme = isEncrypted(incoming.socket) ? "https" : "http";
  const authority =
    (isHttp2(incoming) ? (incoming.authority as string | undefined) : undefined) ?? incoming.headers.host;
  const headers = new Headers();
  for (const [name, value] of fieldsOf(messages)) if (mayAppend(name, value)) headers.append(name, value);
  const method = unsupported.has(incoming.method ?? "") ? "POST" : (incoming.method ?? "GET");
  const url = `${scheme}://${authority ?? "localhost"}${incoming.url ?? "/"}`;
  return new Request(URL.canParse(url) ? url : `${scheme}://localhost/`, { method, headers, signal });
}

const unsupported = new Set(["CONNECT", "TRACE", "TRACK"]);

const mayAppend = (name: string, value: string): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(name) && /^[^\x00\r\n]*$/.test(value);
