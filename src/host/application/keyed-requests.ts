/**
 * Requests with an `Idempotency-Key`, of a service that takes it (draft-ietf-httpapi-idempotency-key-header): read
 * whole before they begin, so that a repetition can be compared with the first.
 *
 * The fingerprint covers method, target, credentials (Authorization, Cookie) and body: no client gets an answer that
 * was another one's because it guessed or happened to use the same key.
 */
import { createHash } from "node:crypto";
import type { NamedRequest } from "../../core/request-names.ts";
import type { RequestHead } from "../../http/message/head.ts";
import { namedRequestOf } from "../../http/message/stead-fields.ts";
import type { Exchange, LocalReply } from "../../http/upstream/exchange.ts";
import { keyReply } from "./front-answers.ts";

const keyField = "idempotency-key";
const keyCharactersMax = 255;
const fingerprintDigits = 32;

export class KeyedRequests {
  readonly #named = new WeakMap<RequestHead, NamedRequest>();

  /** The name of a request, with its fingerprint once it was prepared. */
  nameOf(request: RequestHead): NamedRequest | undefined {
    return this.#named.get(request) ?? namedRequestOf(request.headers);
  }

  /** Its client, or the gateway between, may end before its answer: its repetition gets that. */
  outlivesClient(request: RequestHead): boolean {
    return this.nameOf(request)?.isKeyed === true;
  }

  /** Reads the body. Returns the answer to a request that cannot be executed under its key. */
  async prepare(exchange: Exchange, named: NamedRequest): Promise<LocalReply | undefined> {
    const { request } = exchange;
    const keys = request.headers.getAll(keyField);
    const length = keys[0]?.length ?? 0;
    if (keys.length !== 1 || length === 0 || length > keyCharactersMax)
      return keyReply(
        request,
        400,
        "idempotency_key_invalid",
        `${keys.length} fields Idempotency-Key, the first of ${length} characters; one of 1 to ${keyCharactersMax} is accepted`,
      );
    const body = await exchange.wholeBody();
    if (body === undefined)
      return keyReply(
        request,
        413,
        "idempotency_key_body",
        "a request with Idempotency-Key is read whole before it is executed: its body is longer than host.limits.replay_body, or waits for 100 (Continue); send it shorter, without Expect, or without the key",
      );
    this.#named.set(request, { ...named, fingerprint: fingerprintOf(request, body) });
    return undefined;
  }
}

function fingerprintOf({ method, target, headers }: RequestHead, body: readonly Buffer[]): string {
  const hash = createHash("sha256");
  const head = [method, target, headers.getAll("authorization"), headers.getAll("cookie")];
  hash.update(`${JSON.stringify(head)}\n`);
  for (const part of body) hash.update(part);
  return hash.digest("hex").slice(0, fingerprintDigits);
}
