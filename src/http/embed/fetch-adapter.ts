/**
 * The data plane behind the web-standard `Request` and `Response`: a Hono app under Bun.serve or
 * @hono/node-server, embedding, HTTP/2 in front.
 *
 * The request is replayed as HTTP/1.1 over an in-memory connection to the same server, so there is one parser, one set
 * of limits, one hold and one replay, not a second set of rules that could differ. Parts that `Request` and `Response`
 * cannot carry are lost (docs/DATA-PLANE.md): header case and order, 1xx, trailers, upgrades, the target's exact bytes.
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import type { HeaderList } from "../message/headers.ts";
import { MemorySocket } from "../../runtime/tcp/memory-socket.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import { type ParsedRequest, readRequest } from "../message/read-request.ts";
import type { ParsedResponse } from "../message/read-response.ts";
import { errorReply } from "../server/local-reply.ts";
import { ResponseReader, type ResponseSink } from "../upstream/response-reader.ts";
import type { HttpServer } from "../server/server.ts";

/** Who sent the request, as the embedding server saw it. */
export interface FetchClient {
  readonly address: string;
  readonly port: number;
  readonly secure: boolean;
}

/** Fields that are regenerated for this hop, or not possible on it. */
const notCopied = new Set([
  "host",
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "content-length",
  "upgrade",
  "te",
  "trailer",
  "expect",
]);

/** Answers `request` with `server`. Never rejects because of the client or the upstream. */
export async function fetchThrough(server: HttpServer, request: Request, client: FetchClient): Promise<Response> {
  const head = headOf(request);
  const parsed = checked(head.bytes, server);
  if (parsed instanceof ProtocolError)
    return refused(parsed.status, parsed.code, parsed.message, request.headers.get("accept"));
  const [near, far] = MemorySocket.pair(client.address, client.port);
  server.adopt(far, { secure: client.secure });
  const onAbort = (): void => void near.destroy();
  request.signal.addEventListener("abort", onAbort, { once: true });
  near.once("close", () => request.signal.removeEventListener("abort", onAbort));
  const answer = new Promise<Response>((resolve) => {
    const sink = new FetchSink(near, request.method, resolve);
    const reader = new ResponseReader(parsed, server.limits, sink);
    near.on("data", (chunk: Buffer) => sink.guard(() => reader.read(chunk)));
    near.on("end", () => sink.guard(() => reader.onEnd()));
    near.on("error", () => undefined); // `close` follows, and says all there is to say
    near.on("close", () => sink.onClose());
  });
  near.write(head.bytes);
  const [response] = await Promise.all([answer, sendBody(near, request, head.chunked, answer)]);
  return response;
}

/** The same check as on a listener's connection, so that a refusal has the same status and code. */
function checked(bytes: Buffer, server: HttpServer): ParsedRequest | ProtocolError {
  try {
    const found = readRequest(bytes, 0, bytes.length, server.limits);
    return (
      found?.request ?? new ProtocolError(431, "head_too_large", "the request head is larger than this server accepts")
    );
  } catch (error) {
    if (error instanceof ProtocolError) return error;
    throw error;
  }
}

function refused(
  status: number,
  code: string,
  message: string,
  accept: string | null,
  more: [string, string][] = [],
): Response {
  const { headers, body } = errorReply(status, code, message, accept ?? undefined);
  return new Response(body ?? null, { status, headers: [...((headers ?? []) as [string, string][]), ...more] });
}

function headOf(request: Request): { bytes: Buffer; chunked: boolean } {
  const { pathname, search, host } = new URL(request.url);
  let text = `${request.method} ${pathname}${search} HTTP/1.1\r\nHost: ${request.headers.get("host") ?? host}\r\nConnection: close\r\n`;
  for (const [name, value] of request.headers) if (!notCopied.has(name)) text += `${name}: ${value}\r\n`;
  const length = request.headers.get("content-length");
  const chunked = request.body !== null && length === null;
  if (chunked) text += "Transfer-Encoding: chunked\r\n";
  else if (length !== null) text += `Content-Length: ${length}\r\n`;
  return { bytes: Buffer.from(`${text}\r\n`, "latin1"), chunked };
}

/**
 * Resolves once the body is sent, or the response has arrived: the server then reads or drops the rest as on any
 * connection.
 */
async function sendBody(
  near: MemorySocket,
  request: Request,
  chunked: boolean,
  answer: Promise<Response>,
): Promise<void> {
  if (request.body === null) return;
  const reader = request.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  let answered = false;
  const stop = answer.then(() => {
    answered = true;
  });
  try {
    for (;;) {
      const next = await reader.read();
      if (near.destroyed) return;
      if (next.done) break;
      if (next.value.length === 0) continue;
      if (chunked) near.write(`${next.value.length.toString(16)}\r\n`, "latin1");
      let goesOn = near.write(next.value);
      if (chunked) goesOn = near.write("\r\n", "latin1");
      if (!goesOn) await Promise.race([once(near, "drain").catch(() => undefined), once(near, "close"), stop]);
      if (answered && !near.writable) return;
    }
    if (chunked && !near.destroyed) near.write("0\r\n\r\n", "latin1");
  } catch {
    near.destroy(); // the client broke off its body
  }
}

/** Turns what the reader finds into one `Response`. */
class FetchSink implements ResponseSink {
  readonly #socket: MemorySocket;
  readonly #method: string;
  readonly #resolve: (response: Response) => void;
  #state: "waiting" | "body" | "done" = "waiting";
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(socket: MemorySocket, method: string, resolve: (response: Response) => void) {
    this.#socket = socket;
    this.#method = method;
    this.#resolve = resolve;
  }

  guard(work: () => unknown): void {
    try {
      work();
    } catch {
      this.#socket.destroy(); // our own server's bytes; `onClose` tells
    }
  }

  onInterim(): void {
    // A Response has no place for trailers or interim responses.
  }

  onSwitch(): void {
    throw new Error("an upgrade was never asked for");
  }

  onFinal(response: ParsedResponse): void {
    const { status, framing, reason } = response;
    const headers = new Headers();
    for (const [name, value] of response.headers) {
      const lower = name.toLowerCase();
      if (lower !== "connection" && lower !== "transfer-encoding" && lower !== "keep-alive")
        headers.append(name, value);
    }
    const bodyless =
      this.#method === "HEAD" || status === 204 || status === 205 || status === 304 || framing.kind === "none";
    const socket = this.#socket;
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#body = controller;
        },
        pull: () => void socket.resume(),
        cancel: () => void socket.destroy(),
      },
      { highWaterMark: 256 * 1024, size: (chunk) => chunk?.length ?? 0 },
    );
    this.#state = "body";
    this.#resolve(new Response(bodyless ? null : stream, { status, statusText: reason, headers }));
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    const body = this.#body;
    if (body === undefined) return;
    body.enqueue(new Uint8Array(bytes.subarray(from, to))); // a copy: the buffer may be reused
    if ((body.desiredSize ?? 1) <= 0) this.#socket.pause();
  }

  onBodyEnd(_trailers: HeaderList | undefined): void {
    if (this.#state === "body") this.#body?.close();
    this.#state = "done";
  }

  onComplete(): void {
    this.#state = "done";
  }

  onClose(): void {
    if (this.#state === "body") this.#body?.error(new Error("the response was cut"));
    if (this.#state !== "waiting") return;
    this.#resolve(
      refused(
        502,
        "outcome_unknown",
        "the connection was closed before a response; the request may or may not have been executed",
        null,
        [["Stead-Outcome", "unknown"]],
      ),
    );
  }
}
