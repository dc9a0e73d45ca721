/** Writes one request to an upstream connection: head and kept body at once, the rest as it arrives. */
import type { Buffer } from "node:buffer";
import type { Piece } from "../../runtime/tcp/tcp.ts";
import type { AttemptClient, ForwardOptions } from "./exchange.ts";
import type { HeaderList } from "../message/headers.ts";
import { lastChunk, pushChunk, pushRequestHead } from "../message/serialize.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";
import type { Upstream } from "./upstream.ts";

/** Returns the fields of a request as they go to `upstream`: as edited, with the name that a host gets. */
export function requestFields(client: AttemptClient, upstream: Upstream, options: ForwardOptions): HeaderList {
  const { headers } = client.request;
  const edited = options.editRequestFields?.(headers, client) ?? headers;
  return upstream.nameRequest(edited, options.nameRequest?.(client.request, upstream));
}

export class RequestSender {
  readonly #client: AttemptClient;
  readonly #connection: UpstreamConnection;
  readonly #isChunked: boolean;
  /** The whole request has been written. */
  isDone = false;

  constructor(client: AttemptClient, connection: UpstreamConnection) {
    this.#client = client;
    this.#connection = connection;
    this.#isChunked = client.request.framing.kind === "chunked";
  }

  /** More waits for the upstream than `writeBufferBytesMax`. */
  get isCongested(): boolean {
    return this.#connection.waitingBytes > this.#client.limits.writeBufferBytesMax;
  }

  /** `headers`: the request's fields as edited. */
  start(headers: HeaderList): void {
    const client = this.#client;
    const pieces: Piece[] = [];
    pushRequestHead(pieces, headers, client.request, client.connection);
    for (const data of client.kept) this.#push(pieces, data);
    if (client.isBodyDone) this.#pushEnd(pieces, client.bodyTrailers);
    this.#connection.writeAll(pieces);
  }

  send(data: Buffer): void {
    const pieces: Piece[] = [];
    this.#push(pieces, data);
    if (pieces.length > 0) this.#connection.writeAll(pieces);
  }

  sendEnd(trailers: HeaderList | undefined): void {
    const pieces: Piece[] = [];
    this.#pushEnd(pieces, trailers);
    if (pieces.length > 0) this.#connection.writeAll(pieces);
  }

  #push(pieces: Piece[], data: Buffer): void {
    if (this.#isChunked) pushChunk(pieces, data);
    else pieces.push(data);
  }

  #pushEnd(pieces: Piece[], trailers: HeaderList | undefined): void {
    this.isDone = true;
    if (this.#isChunked) pieces.push(lastChunk(trailers));
  }
}
