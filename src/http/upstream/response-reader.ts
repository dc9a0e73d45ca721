/**
 * Reads the response to one request out of the bytes of an upstream connection: interim heads, a switch of protocols,
 * the final head, its body and its end. Decides nothing and releases nothing.
 */
import { Buffer } from "node:buffer";
import { BodyReader } from "../message/body-reader.ts";
import type { BodySink } from "../message/chunked-reader.ts";
import type { HttpLimits } from "../limits.ts";
import { ProtocolError } from "../message/protocol-error.ts";
import type { ParsedRequest } from "../message/read-request.ts";
import { readResponse, type ParsedResponse } from "../message/read-response.ts";

export interface ResponseSink extends BodySink {
  onInterim(response: ParsedResponse): void;
  /** The connection is a tunnel now; `rest` are its first bytes. */
  onSwitch(response: ParsedResponse, rest: Buffer | undefined): void;
  onFinal(response: ParsedResponse): void;
  /** The whole response has been read. `clean`: nothing came after it, so the connection may serve another request. */
  onComplete(clean: boolean): void;
}

export class ResponseReader {
  /** What is read is reported to it. */
  sink: ResponseSink;
  readonly #request: ParsedRequest;
  readonly #limits: HttpLimits;
  #headBytes: Buffer | undefined;
  #interimCount = 0;
  #body: BodyReader | undefined;
  #isUntilEnd = false;
  #isDone = false;

  constructor(request: ParsedRequest, limits: HttpLimits, sink: ResponseSink) {
    this.#request = request;
    this.#limits = limits;
    this.sink = sink;
  }

  /** True if a part of the last chunk is kept, because its message part is not complete. */
  get hasBytes(): boolean {
    return this.#headBytes !== undefined || this.#body?.hasBytes === true;
  }

  /** Takes the next bytes. Throws `ProtocolError`; then nothing reported for this chunk may be passed on. */
  read(chunk: Buffer): void {
    let bytes = chunk;
    let at = 0;
    if (this.#headBytes !== undefined) {
      bytes = Buffer.concat([this.#headBytes, chunk]);
      this.#headBytes = undefined;
    }
    while (this.#body === undefined) {
      const found =
        at < bytes.length ? readResponse(bytes, at, bytes.length, this.#request.method, this.#limits) : undefined;
      if (found === undefined) {
        if (at < bytes.length) this.#headBytes = at === 0 ? bytes : bytes.subarray(at);
        return;
      }
      at = found.end;
      if (found.response.status === 101) {
        this.#switch(found.response, at < bytes.length ? bytes.subarray(at) : undefined);
        return;
      }
      this.#onHead(found.response);
    }
    if (!this.#body.isDone) at = this.#body.read(bytes, at, this.sink);
    if (this.#body.isDone) this.#complete(at === bytes.length);
  }

  /**
   * The upstream has ended its side. Returns true if that is the end of the response; false if the response is
   * incomplete.
   */
  onEnd(): boolean {
    if (this.#isDone || !this.#isUntilEnd) return this.#isDone;
    this.sink.onBodyEnd(undefined);
    this.#complete(false);
    return true;
  }

  #onHead(response: ParsedResponse): void {
    if (response.status >= 200) {
      // Responses may have any length; only requests are bounded.
      this.#body = new BodyReader(response.framing, this.#limits, Number.MAX_SAFE_INTEGER);
      this.#isUntilEnd = response.framing.kind === "close";
      this.sink.onFinal(response);
      return;
    }
    if (++this.#interimCount > this.#limits.interimResponsesMax) {
      throw new ProtocolError(400, "too_many_interim_responses", "more interim responses than accepted");
    }
    this.sink.onInterim(response);
  }

  #switch(response: ParsedResponse, rest: Buffer | undefined): void {
    if (this.#request.upgrade === undefined || response.upgrade === undefined) {
      throw new ProtocolError(
        400,
        "switch_not_asked",
        "the upstream switched protocols without being asked, or does not say to which",
      );
    }
    this.sink.onSwitch(response, rest);
  }

  #complete(clean: boolean): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.sink.onComplete(clean);
  }
}
