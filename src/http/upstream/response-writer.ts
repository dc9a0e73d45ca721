/**
 * Serialises a response into the gate with our own framing; hop-by-hop fields are dropped. The framing of the body
 * depends on the client: chunked for HTTP/1.1, until the end of the connection for 1.0.
 */
import type { Buffer } from "node:buffer";
import type { AttemptClient, ForwardOptions } from "./exchange.ts";
import type { GatedRelease } from "./gated-release.ts";
import { chunkedBody, closeDelimitedBody, noBody, type Framing } from "../message/head.ts";
import type { HeaderList } from "../message/headers.ts";
import type { ParsedResponse } from "../message/read-response.ts";
import { lastChunk, passesAsItCame, responseText } from "../message/serialize.ts";

export class ResponseWriter {
  /** A final head (or a 101) has been pushed. */
  hasStarted = false;
  /** Status of the final response, as edited. */
  status = 0;
  readonly #client: AttemptClient;
  readonly #release: GatedRelease;
  readonly #edit: ForwardOptions["editResponseFields"];
  #framing: Framing = noBody;
  #hasContinued = false;

  constructor(client: AttemptClient, release: GatedRelease, edit: ForwardOptions["editResponseFields"]) {
    this.#client = client;
    this.#release = release;
    this.#edit = edit;
  }

  /** Only the end of the connection shows that the body is complete. */
  get isEndedByConnection(): boolean {
    return this.#framing.kind === "close";
  }

  /** A 1xx; HTTP/1.0 has none. A client is told once to continue, also if its request is resent. */
  interim(response: ParsedResponse): void {
    if (this.#client.request.version === "1.0") return;
    if (response.status === 100) {
      if (this.#client.hasContinued && !this.#hasContinued) return;
      this.#client.hasContinued = this.#hasContinued = true;
    }
    const headers = this.#edit?.(response) ?? response.headers;
    this.#release.push(responseText(response, headers, noBody, false, undefined));
  }

  switch(response: ParsedResponse): void {
    const headers = this.#edit?.(response) ?? response.headers;
    this.hasStarted = true;
    this.status = 101;
    this.#release.push(responseText(response, headers, noBody, false, `Upgrade\r\nUpgrade: ${response.upgrade ?? ""}`));
  }

  final(response: ParsedResponse): void {
    const client = this.#client;
    this.#framing = response.framing;
    if (response.framing.kind === "chunked" || response.framing.kind === "close") {
      this.#framing = client.request.version === "1.1" ? chunkedBody : closeDelimitedBody;
      if (this.#framing === closeDelimitedBody) client.closeAfterwards();
    }
    const headers = this.#edit?.(response) ?? response.headers;
    this.hasStarted = true;
    this.status = response.status;
    // HEAD and 304: the framing fields describe an absent body, and are passed on as they are.
    const keepFraming = response.framing.kind === "none" && response.status !== 204;
    const connection = client.connectionField();
    const { source } = headers;
    if (
      connection === undefined &&
      source !== undefined &&
      passesAsItCame(headers, response, this.#framing, keepFraming)
    ) {
      this.#release.pushBytes(source.bytes, source.start, source.fieldsEnd + 2);
    } else this.#release.push(responseText(response, headers, this.#framing, keepFraming, connection));
  }

  body(bytes: Buffer, from: number, to: number): void {
    if (from === to) return;
    if (this.#framing.kind === "chunked") this.#release.push(`${(to - from).toString(16)}\r\n`);
    this.#release.pushBytes(bytes, from, to);
    if (this.#framing.kind === "chunked") this.#release.push("\r\n");
  }

  end(trailers: HeaderList | undefined): void {
    if (this.#framing.kind === "chunked") this.#release.push(lastChunk(trailers));
  }
}
