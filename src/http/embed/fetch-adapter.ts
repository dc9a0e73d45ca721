/**
 * The data plane behind the web-standard `Request` and `Response`: a Hono app under Bun.serve or
 * @hono/node-server, embedding, HTTP/2 in front.
 *
 * The request is replayed as HTTP/1.1 over an in-memory connection to the same server, so there is one parser, one set
 * of limits, one hold and one replay, not a second set of rules that could differ. Parts that `Request` and `Response`
 * cannot carry are lost (docs/DATA-PLANE.md), unless the embedding server passes the messages of Node beside them.
 */
import type { Buffer } from "node:buffer";
import { once } from "node:events";
import type { HeaderList } from "../message/headers.ts";
import { MemorySocket } from "../../runtime/tcp/memory-socket.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import { addTrailers, abortAnswer, type NodeMessages, sendEarlyHints } from "./node-messages.ts";
import { requestBytes, type BodyFraming, type RequestBytes } from "./request-bytes.ts";
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
  /** Its connection counts already (`HttpServer`'s own listeners). */
  readonly isCounted?: boolean;
}

/**
 * Answers `request` with `server`. Never rejects because of the client or the upstream. `messages`: those that the
 * request came as, where the embedding server has them.
 */
export async function fetchThrough(
  server: HttpServer,
  request: Request,
  client: FetchClient,
  messages?: NodeMessages,
): Promise<Response> {
  const read = checked(request, messages, server);
  if (read instanceof ProtocolError)
    return refused(read.status, read.code, read.message, request.headers.get("accept"));
  const [near, far] = MemorySocket.pair(client.address, client.port);
  server.adopt(far, { secure: client.secure, isCounted: client.isCounted === true });
  const onAbort = (): void => void near.destroy();
  request.signal.addEventListener("abort", onAbort, { once: true });
  near.once("close", () => request.signal.removeEventListener("abort", onAbort));
  const answer = new Promise<Response>((resolve) => {
    const sink = new FetchSink(near, request.method, messages, resolve);
    const reader = new ResponseReader(read.parsed, server.limits, sink);
    near.on("data", (chunk: Buffer) => sink.guard(() => reader.read(chunk)));
    near.on("end", () => sink.guard(() => reader.onEnd()));
    near.on("error", () => undefined); // `close` follows, and says all there is to say
    near.on("close", () => sink.onClose());
  });
  near.write(read.bytes.head);
  // Both directions at once: an application may answer before it has the whole body.
  if (read.bytes.framing.kind !== "none")
    sendBody(near, bodyOf(request, messages), read.bytes.framing).catch(() => near.destroy());
  return answer;
}

/** Leaves what is not read to the embedding server. */
function bodyOf(request: Request, messages: NodeMessages | undefined): AsyncIterable<Uint8Array> {
  if (messages !== undefined) return messages.incoming.iterator({ destroyOnReturn: false });
  return (request.body ?? new ReadableStream()).values({ preventCancel: true });
}

/** The same check as on a listener's connection, so that a refusal has the same status and code. */
function checked(
  request: Request,
  messages: NodeMessages | undefined,
  server: HttpServer,
): { readonly bytes: RequestBytes; readonly parsed: ParsedRequest } | ProtocolError {
  try {
    const bytes = requestBytes(request, messages);
    const found = readRequest(bytes.head, 0, bytes.head.length, server.limits);
    return found === undefined
      ? new ProtocolError(431, "head_too_large", "the request head is larger than this server accepts")
      : { bytes, parsed: found.request };
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

/** Resolves once the body is sent, or is not wanted any more. Rejects if the client breaks it off. */
async function sendBody(near: MemorySocket, body: AsyncIterable<Uint8Array>, framing: BodyFraming): Promise<void> {
  let sent = 0;
  for await (const piece of body) {
    if (near.destroyed) return;
    if (piece.length === 0) continue;
    sent += piece.length;
    if (framing.kind === "length" && sent > framing.bytes) break;
    if (framing.kind === "chunked") near.write(`${piece.length.toString(16)}\r\n`, "latin1");
    let mayContinue = near.write(piece);
    if (framing.kind === "chunked") mayContinue = near.write("\r\n", "latin1");
    if (!mayContinue) await Promise.race([once(near, "drain").catch(() => undefined), once(near, "close")]);
  }
  if (near.destroyed) return;
  if (framing.kind === "chunked") near.write("0\r\n\r\n", "latin1");
  else if (framing.kind === "length" && sent !== framing.bytes) near.destroy();
}

/** Fields of a response that are this hop's own. */
const ofConnection = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/** Turns what the reader finds into one `Response`. */
class FetchSink implements ResponseSink {
  readonly #socket: MemorySocket;
  readonly #method: string;
  readonly #messages: NodeMessages | undefined;
  readonly #resolve: (response: Response) => void;
  #state: "waiting" | "body" | "done" = "waiting";
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(
    socket: MemorySocket,
    method: string,
    messages: NodeMessages | undefined,
    resolve: (response: Response) => void,
  ) {
    this.#socket = socket;
    this.#method = method;
    this.#messages = messages;
    this.#resolve = resolve;
  }

  guard(work: () => unknown): void {
    try {
      work();
    } catch {
      this.#socket.destroy(); // our own server's bytes; `onClose` tells
    }
  }

  /** A Response has no place for it. */
  onInterim(response: ParsedResponse): void {
    if (this.#messages !== undefined && response.status === 103) sendEarlyHints(this.#messages, response.headers);
  }

  onSwitch(): void {
    throw new Error("an upgrade was never asked for");
  }

  onFinal(response: ParsedResponse): void {
    const { status, framing, reason } = response;
    const headers = new Headers();
    for (const [name, value] of response.headers) {
      const lower = name.toLowerCase();
      if (!ofConnection.has(lower)) headers.append(name, value);
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

  onBodyEnd(trailers: HeaderList | undefined): void {
    if (trailers !== undefined && this.#messages !== undefined) addTrailers(this.#messages, trailers);
    this.#complete();
  }

  /** Also of a response whose length is 0: it has no body that could end. */
  onComplete(): void {
    this.#complete();
  }

  #complete(): void {
    if (this.#state === "body") this.#body?.close();
    this.#state = "done";
  }

  /**
   * The end of a part must not look like the end of the whole: @hono/node-server would write the error's text behind
   * the part, and end it.
   */
  #abort(): void {
    if (this.#messages === undefined) this.#body?.error(new Error("the response was cut"));
    else abortAnswer(this.#messages); // which cancels the body
  }

  onClose(): void {
    if (this.#state === "body") this.#abort();
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
