/**
 * Says a response again for the client, piece by piece into the gated release: own framing, no fields of the hop before.
 * How the body is framed depends on what the client can read: chunked for HTTP/1.1, until the end of the connection for 1.0.
 */
import type { Buffer } from "node:buffer";
import type { AttemptClient } from "./attempt-client.ts";
import type { ForwardOptions } from "./exchange.ts";
import type { GatedRelease } from "./gated-release.ts";
import { chunkedBody, closeDelimitedBody, noBody, type Framing } from "./head.ts";
import type { HeaderList } from "./headers.ts";
import type { ParsedResponse } from "./read-response.ts";
import { lastChunk, responseBytes } from "./serialize.ts";

export class ResponseWriter {
  /** A final head (or a 101) has been written into the release. */
  started = false;
  /** Of the final response, as edited. */
  status = 0;
  readonly #client: AttemptClient;
  readonly #release: GatedRelease;
  readonly #edit: ForwardOptions["editResponseHead"];
  #framing: Framing = noBody;

  constructor(client: AttemptClient, release: GatedRelease, edit: ForwardOptions["editResponseHead"]) {
    this.#client = client;
    this.#release = release;
    this.#edit = edit;
  }

  /** Only the end of the connection says that the body is complete. */
  get endsWithConnection(): boolean {
    return this.#framing.kind === "close";
  }

  /** A 1xx; HTTP/1.0 has none. */
  interim(response: ParsedResponse): void {
    if (this.#client.parsed.version === "1.0") return;
    const head = this.#edit?.(response) ?? response;
    this.#release.push(responseBytes(head, response.connectionOptions, noBody, false, undefined));
  }

  switch(response: ParsedResponse): void {
    const head = this.#edit?.(response) ?? response;
    this.started = true;
    this.status = 101;
    this.#release.push(responseBytes(head, response.connectionOptions, noBody, false, `Upgrade\r\nUpgrade: ${response.upgrade ?? ""}`));
  }

  final(response: ParsedResponse): void {
    const client = this.#client;
    this.#framing = response.framing;
    if (response.framing.kind === "chunked" || response.framing.kind === "close") {
      this.#framing = client.parsed.version === "1.1" ? chunkedBody : closeDelimitedBody;
      if (this.#framing === closeDelimitedBody) client.closeAfterwards();
    }
    const head = this.#edit?.(response) ?? response;
    this.started = true;
    this.status = head.status;
    // HEAD and 304: the framing fields describe what is not there, and are passed on as they are.
    const keepFraming = response.framing.kind === "none" && response.status !== 204;
    this.#release.push(responseBytes(head, response.connectionOptions, this.#framing, keepFraming, client.connectionField()));
  }

  body(data: Buffer): void {
    if (data.length === 0) return;
    if (this.#framing.kind !== "chunked") {
      this.#release.push(data);
      return;
    }
    this.#release.push(`${data.length.toString(16)}\r\n`);
    this.#release.push(data);
    this.#release.push("\r\n");
  }

  end(trailers: HeaderList | undefined): void {
    if (this.#framing.kind === "chunked") this.#release.push(lastChunk(trailers));
  }
}
