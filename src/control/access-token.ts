/**
 * Calls with a token in place of the channel: it is sent as a bearer in clear text, and the answer is believed without
 * a proof. A forged server gets the token, which never suffices to speak as a process of the cluster.
 */
import type { SecureCalls } from "./channel/secure-calls.ts";
import { bearer } from "./bearer.ts";

/** The credentials of a person or program that is no process of the cluster. */
export interface AccessToken {
  readonly token: string;
  /** Undefined: it is sent in clear text. */
  readonly tls?: SecureCalls | undefined;
}

export type TokenVerdict =
  /** The body is as it is sent. */
  { readonly kind: "unsealed" } | { readonly kind: "unauthorized"; readonly message: string };

export class TokenContact {
  readonly #token: string;

  constructor({ token }: AccessToken) {
    this.#token = token;
  }

  /** Every call has the same credentials. */
  sign(): { readonly authorization: string; judge(status: number): TokenVerdict } {
    return {
      authorization: bearer(this.#token),
      judge: (status) =>
        status === 401 ? { kind: "unauthorized", message: "the token was not accepted" } : { kind: "unsealed" },
    };
  }
}
