/**
 * One connection to the server of a bucket: one request at a time, each of which is one attempt by construction.
 * Nothing here sends a request again, follows a redirect, or asks for another encoding.
 *
 * A request that fails says whether any byte of it may have left (`isSent`): only then may it have taken effect. An
 * answer counts once its end is known: a body whose end is that of the connection may have been cut off, and is taken
 * for an answer only where its content decides nothing (a refusal).
 */
import { Buffer } from "node:buffer";
import { type HttpLimits, httpLimits } from "../http/limits.ts";
import { BodyReader } from "../http/message/body-reader.ts";
import type { BodySink } from "../http/message/chunked-reader.ts";
import { type ParsedResponse, readResponse } from "../http/message/read-response.ts";
import { messageOf } from "../runtime/operator-error.ts";
import type { ChunkUse, Tcp, TcpConnectUser, TcpSocket } from "../runtime/tcp/tcp.ts";

export class AttemptError extends Error {
  readonly isSent: boolean;
  constructor(isSent: boolean, found: string) {
    super(found);
    this.isSent = isSent;
  }
}

/** Of an answer: longer than it may be. */
export class LongAnswerError extends Error {
  /** Undefined: the answer did not say. */
  readonly bytes: number | undefined;
  constructor(bytes: number | undefined) {
    super("an answer that is longer than accepted");
    this.bytes = bytes;
  }
}

export interface S3Attempt {
  readonly method: string;
  /** Complete, with the empty line at its end. */
  readonly head: string;
  readonly body: Uint8Array;
  readonly answerBytesMax: number;
}

export interface S3Answer {
  readonly status: number;
  readonly headers: ParsedResponse["headers"];
  readonly body: Buffer;
}

interface Waiting {
  readonly attempt: S3Attempt;
  resolve(answer: S3Answer): void;
  reject(error: Error): void;
}

/** Of an answer that refuses: an XML document. */
const refusalBytesMax = 64 * 1024;

export class S3Connection implements TcpConnectUser, BodySink {
  readonly #limits: HttpLimits = httpLimits();
  readonly #connected = Promise.withResolvers<void>();
  readonly #socket: TcpSocket;
  #waiting: Waiting | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #head: ParsedResponse | undefined;
  #body: BodyReader | undefined;
  #content: Buffer[] = [];
  #contentBytes = 0;
  #bytesMax = 0;
  #closed: string | undefined;

  constructor(tcp: Pick<Tcp, "connect">, host: string, port: number) {
    this.#connected.promise.catch(() => undefined);
    this.#socket = tcp.connect(host, port, this);
  }

  get isOpen(): boolean {
    return this.#closed === undefined;
  }

  /** Rejects with AttemptError, of which nothing was sent. */
  opened(): Promise<void> {
    return this.#connected.promise;
  }

  /** Rejects with AttemptError and LongAnswerError; the connection is closed then. */
  send(attempt: S3Attempt): Promise<S3Answer> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) return reject(new AttemptError(false, this.#closed));
      this.#waiting = { attempt, resolve, reject };
      const { head, body } = attempt;
      const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
      this.#socket.writeAll(bytes.length === 0 ? [head] : [head, bytes]);
    });
  }

  /** Ends the request in progress. */
  abort(reason: string): void {
    this.#abort(reason);
  }

  onConnect(): void {
    this.#connected.resolve();
  }

  onData(chunk: Buffer): ChunkUse {
    try {
      this.#read(chunk);
    } catch (error) {
      if (error instanceof LongAnswerError) this.#abort(error.message, error);
      else this.#abort(`the answer cannot be read: ${messageOf(error)}`);
    }
    return undefined;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    this.#contentBytes += to - from;
    if (this.#contentBytes > this.#bytesMax) throw new LongAnswerError(undefined);
    this.#content.push(bytes.subarray(from, to));
  }

  onBodyEnd(): void {
    this.#answer();
  }

  onEnd(): void {
    const ends = this.#head?.framing.kind === "close" && this.#head.status >= 300;
    if (ends) this.#answer();
    this.#abort("the server ended the connection");
  }

  onDrain(): void {}

  onClose(code: string | undefined): void {
    this.#abort(`the connection is gone${code === undefined ? "" : ` (${code})`}`);
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = Buffer.alloc(0);
    for (let from = 0; from < bytes.length && this.isOpen; ) {
      if (this.#body !== undefined) {
        from = this.#body.read(bytes, from, this);
        continue;
      }
      if (this.#waiting === undefined) return this.#abort("an answer to no request");
      const found = readResponse(bytes, from, bytes.length, this.#waiting.attempt.method, this.#limits);
      if (found === undefined) {
        this.#rest = Buffer.from(bytes.subarray(from));
        return;
      }
      bytes = bytes.subarray(found.end);
      from = 0;
      if (found.response.status >= 200) this.#begin(found.response, this.#waiting.attempt);
    }
  }

  #begin(head: ParsedResponse, { answerBytesMax }: S3Attempt): void {
    const { framing, status } = head;
    this.#bytesMax = status < 300 ? answerBytesMax : refusalBytesMax;
    if (framing.kind === "length" && framing.bytes > this.#bytesMax) throw new LongAnswerError(framing.bytes);
    this.#head = head;
    this.#content = [];
    this.#contentBytes = 0;
    if (framing.kind === "none" || (framing.kind === "length" && framing.bytes === 0)) this.#answer();
    else this.#body = new BodyReader(framing, this.#limits, Infinity);
  }

  #answer(): void {
    const [waiting, head] = [this.#waiting, this.#head];
    this.#waiting = undefined;
    this.#head = undefined;
    this.#body = undefined;
    if (waiting === undefined || head === undefined) return;
    const body = this.#content.length === 1 ? (this.#content[0] as Buffer) : Buffer.concat(this.#content);
    this.#content = [];
    if (!head.keepAlive) this.#abort("the server ended the connection after its answer");
    waiting.resolve({ status: head.status, headers: head.headers, body });
  }

  #abort(reason: string, error: Error = new AttemptError(true, reason)): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#socket.destroy();
    this.#connected.reject(new AttemptError(false, reason));
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }
}
