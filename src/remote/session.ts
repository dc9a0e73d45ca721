/**
 * Authentication between a vault server and its clients: both have the cluster's secret, and neither sends it.
 *
 * A connection begins with a session: each side sends a nonce, and the server proves the secret over both. The key of
 * the session follows from the secret and both nonces. With it every request is authenticated, and every answer:
 * method, target and body, or status and body, and the number of the request on this connection. So a request cannot be
 * sent again on another connection, nor an answer be given to another request. Nothing is encrypted, as on every other
 * connection between members of a cluster (docs/SECURITY.md).
 */
import { createHmac, timingSafeEqual } from "node:crypto";

const nonceShape = /^[0-9a-f]{32}$/;
export const nonceBytes = 16;

export const isNonce = (value: unknown): value is string => typeof value === "string" && nonceShape.test(value);

export class SessionKey {
  readonly #key: Buffer;

  constructor(secret: string, clientNonce: string, serverNonce: string) {
    this.#key = createHmac("sha256", secret).update(`stead vault 1\n${clientNonce}\n${serverNonce}`).digest();
  }

  /** Proves to the client that the server has the secret. */
  get proof(): string {
    return this.#sign("server", new Uint8Array());
  }

  isProof(proof: unknown): boolean {
    return typeof proof === "string" && isSame(proof, this.proof);
  }

  signRequest(number: number, { method, target, body }: SignedRequest): string {
    return this.#sign(`request ${number}\n${method}\n${target}`, body);
  }

  isRequest(number: number, request: SignedRequest, signature: string | undefined): boolean {
    return signature !== undefined && isSame(signature, this.signRequest(number, request));
  }

  signAnswer(number: number, { status, body }: SignedAnswer): string {
    return this.#sign(`answer ${number}\n${status}`, body);
  }

  isAnswer(number: number, answer: SignedAnswer, signature: string | undefined): boolean {
    return signature !== undefined && isSame(signature, this.signAnswer(number, answer));
  }

  #sign(what: string, body: Uint8Array): string {
    return createHmac("sha256", this.#key).update(`${what}\n${body.length}\n`).update(body).digest("base64url");
  }
}

export interface SignedRequest {
  readonly method: string;
  readonly target: string;
  readonly body: Uint8Array;
}

export interface SignedAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

function isSame(presented: string, expected: string): boolean {
  const [a, b] = [Buffer.from(presented), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
