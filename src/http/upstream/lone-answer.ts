/**
 * The rest of an answer whose client is gone: read to its end for its recorder, released to no one
 * (`ForwardOptions.outlivesClient`). Time limits are those of any answer; one without an end is given up.
 */
import type { Buffer } from "node:buffer";
import type { ChunkUse } from "../../runtime/tcp/tcp.ts";
import type { HeaderList } from "../message/headers.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import type { ParsedResponse } from "../message/read-response.ts";
import { progressOf } from "./answer-progress.ts";
import type { AnswerRecorder, AttemptClient, ForwardOptions } from "./exchange.ts";
import type { ResponseReader, ResponseSink } from "./response-reader.ts";
import type { UpstreamConnection, UpstreamUser } from "./upstream-connection.ts";

export interface LoneAnswerParts {
  readonly client: Pick<AttemptClient, "request" | "limits" | "onAttemptFailed">;
  readonly options: Pick<ForwardOptions, "recordAnswer" | "isUpstreamEnding">;
  readonly connection: UpstreamConnection;
  readonly reader: ResponseReader;
  /** What has arrived of the answer; undefined: not its head. */
  readonly response: ParsedResponse | undefined;
  readonly recorder: AnswerRecorder | undefined;
}

export class LoneAnswer implements UpstreamUser, ResponseSink {
  readonly #parts: LoneAnswerParts;
  readonly #onOver: (last: ParsedResponse | undefined) => void;
  #response: ParsedResponse | undefined;
  #recorder: AnswerRecorder | undefined;
  #trailers: HeaderList | undefined;
  #isOver = false;

  /** `onOver` is called once. `last`: the connection can be used again after that response; undefined: it cannot. */
  constructor(parts: LoneAnswerParts, onOver: (last: ParsedResponse | undefined) => void) {
    this.#parts = parts;
    this.#onOver = onOver;
    this.#response = parts.response;
    this.#recorder = parts.recorder;
  }

  /** Takes the connection over from its user. */
  start(): void {
    const { connection, reader } = this.#parts;
    const { notAfter } = connection;
    connection.detach();
    connection.notAfter = notAfter;
    connection.use(this);
    reader.sink = this;
  }

  onData(chunk: Buffer): ChunkUse {
    const { client, connection, reader } = this.#parts;
    connection.expire(client.limits.responseIdleMs);
    try {
      reader.read(chunk);
    } catch (error) {
      // No client is told what the upstream did wrong: its repetition is in doubt.
      if (!(error instanceof ProtocolError)) client.onAttemptFailed(error);
      this.#end(undefined);
    }
    return this.#isOver || reader.hasBytes ? undefined : "consumed";
  }

  onDrain(): void {
    // The request has been written.
  }

  onInterim(): void {
    // No client waits for it.
  }

  onSwitch(): void {
    this.#end(undefined);
  }

  onFinal(response: ParsedResponse): void {
    this.#response = response;
    if (progressOf(response) === "stream") this.#end(undefined);
    else this.#recorder = this.#parts.options.recordAnswer?.(this.#parts.client.request, response);
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    this.#recorder?.onBody(bytes, from, to);
  }

  onBodyEnd(trailers: HeaderList | undefined): void {
    this.#trailers = trailers;
  }

  onComplete(clean: boolean): void {
    if (this.#isOver) return;
    this.#recorder?.onComplete(this.#trailers);
    this.#end(clean && this.#response?.keepAlive === true ? this.#response : undefined);
  }

  onEnd(): void {
    const { client, options, reader } = this.#parts;
    const isUnended = this.#response?.framing.kind === "close";
    if ((isUnended && options.isUpstreamEnding?.(client.request) === true) || !reader.onEnd()) this.#end(undefined);
  }

  onGone(): void {
    this.#end(undefined);
  }

  onExpired(): void {
    this.#end(undefined);
  }

  #end(last: ParsedResponse | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onOver(last);
  }
}
