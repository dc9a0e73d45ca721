/**
 * Writes one request to an upstream connection: head and kept body at once, the rest as it arrives.
 *
 * A body that is in a file is read from there, no faster than the upstream takes it. Its client waits until all that
 * has arrived was sent, so what arrives meanwhile goes into the file only, and comes from there in its order.
 */
import type { Buffer } from "node:buffer";
import type { Piece } from "../../runtime/tcp/tcp.ts";
import type { AttemptClient, ForwardOptions } from "./exchange.ts";
import type { HeaderList } from "../message/headers.ts";
import { lastChunk, pushChunk, pushRequestHead } from "../message/serialize.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { SpooledBody, SpoolReading } from "../spool/spooled-body.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";
import type { Upstream } from "./upstream.ts";

/** Returns the fields of a request as they go to `upstream`: as edited, with the name that a host gets. */
export function requestFields(client: AttemptClient, upstream: Upstream, options: ForwardOptions): HeaderList {
  const { headers } = client.request;
  const edited = options.editRequestFields?.(headers, client) ?? headers;
  return upstream.nameRequest(edited, options.nameRequest?.(client.request, upstream));
}

/** The attempt, for its sender. */
export interface SendingAttempt {
  /** A part of the body was sent. */
  onBodySent(): void;
}

export class RequestSender {
  readonly #client: AttemptClient;
  readonly #connection: UpstreamConnection;
  readonly #attempt: SendingAttempt;
  readonly #isChunked: boolean;
  /** The whole request has been written. */
  isDone = false;
  /** The file is read; undefined: what arrives is sent at once. */
  #reading: SpoolReading | undefined;
  #isWaitingForFile = false;

  constructor(client: AttemptClient, connection: UpstreamConnection, attempt: SendingAttempt) {
    this.#client = client;
    this.#connection = connection;
    this.#attempt = attempt;
    this.#isChunked = client.request.framing.kind === "chunked";
  }

  /** The client must wait: more waits for the upstream than `writeBufferBytesMax`, or the file is read. */
  get isCongested(): boolean {
    return this.#reading !== undefined || this.#isFull;
  }

  get #isFull(): boolean {
    return this.#connection.waitingBytes > this.#client.limits.writeBufferBytesMax;
  }

  /** `headers`: the request's fields as edited. */
  start(headers: HeaderList): void {
    const client = this.#client;
    const pieces: Piece[] = [];
    pushRequestHead(pieces, headers, client.request, client.connection);
    for (const data of client.kept) this.#push(pieces, data);
    if (client.spooled !== undefined) this.#readFrom(client.spooled);
    else if (client.isBodyDone) this.#pushEnd(pieces, client.bodyTrailers);
    this.#connection.writeAll(pieces);
    if (this.#reading !== undefined) this.#sendRead(this.#reading);
  }

  #readFrom(spooled: SpooledBody): void {
    if (!spooled.isHeld || spooled.size !== this.#client.bodyBytes)
      throw new Error(`${spooled.size} bytes of a body are in its file, and ${this.#client.bodyBytes} have arrived`);
    this.#reading = spooled.read();
  }

  /** Until the upstream takes no more for the moment, the file answers, or all was sent. */
  #sendRead(reading: SpoolReading): void {
    while (!this.#isFull && !reading.isOver) {
      const next = reading.next();
      if (next === undefined) return this.#onAllRead();
      if (next instanceof Promise) {
        this.#isWaitingForFile = true;
        next.then(
          (data) => this.#onRead(reading, data),
          (error: unknown) => this.#onUnreadable(reading, error),
        );
        return;
      }
      this.#sendPart(next);
    }
  }

  #onRead(reading: SpoolReading, data: Buffer): void {
    this.#isWaitingForFile = false;
    if (reading.isOver) return;
    this.#sendPart(data);
    this.#sendRead(reading);
  }

  #onUnreadable(reading: SpoolReading, error: unknown): void {
    if (!reading.isOver) this.#connection.abort(`the kept body of the request cannot be read: ${messageOf(error)}`);
  }

  #sendPart(data: Buffer): void {
    this.#write(data);
    this.#attempt.onBodySent();
  }

  #onAllRead(): void {
    const { spooled, isBodyDone, bodyTrailers } = this.#client;
    this.#reading = undefined;
    spooled?.closeReading();
    if (isBodyDone) this.sendEnd(bodyTrailers);
    else this.#client.setBodyFlow("to-attempt");
  }

  onDrain(): void {
    if (this.#reading === undefined) this.#client.setBodyFlow("to-attempt");
    else if (!this.#isWaitingForFile) this.#sendRead(this.#reading);
  }

  send(data: Buffer): void {
    if (this.#reading !== undefined) return;
    this.#sendPart(data);
    if (this.#isFull) this.#client.setBodyFlow("paused");
  }

  #write(data: Buffer): void {
    const pieces: Piece[] = [];
    this.#push(pieces, data);
    if (pieces.length > 0) this.#connection.writeAll(pieces);
  }

  sendEnd(trailers: HeaderList | undefined): void {
    if (this.#reading !== undefined) return;
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
