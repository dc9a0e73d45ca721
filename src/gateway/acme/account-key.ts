/** The key of an account with a certificate authority: signs requests (RFC 8555, 6.2) and answers challenges (8.1). */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export class AccountKey {
  readonly #key: KeyObject;
  readonly #jwk: { readonly crv: string; readonly kty: string; readonly x: string; readonly y: string };
  /** Of the public key (RFC 7638), which stands for the account in challenges. */
  readonly thumbprint: string;

  /** PEM. */
  static generate(): string {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    return privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  }

  /** Throws if it is no private key on P-256. */
  constructor(pem: string) {
    this.#key = createPrivateKey(pem);
    const { crv, kty, x, y } = createPublicKey(pem).export({ format: "jwk" });
    if (kty !== "EC" || crv !== "P-256" || x === undefined || y === undefined)
      throw new TypeError("the account's key is not one of ECDSA on P-256");
    this.#jwk = { crv, kty, x, y };
    this.thumbprint = createHash("sha256").update(JSON.stringify(this.#jwk)).digest("base64url");
  }

  /** Returns the body of a request. Without `account`, its URL, the public key stands for it. */
  signed(url: string, nonce: string, payload: object | undefined, account: string | undefined): string {
    const who = account === undefined ? { jwk: this.#jwk } : { kid: account };
    const head = encoded(JSON.stringify({ alg: "ES256", nonce, url, ...who }));
    const body = payload === undefined ? "" : encoded(JSON.stringify(payload));
    const signature = sign("sha256", Buffer.from(`${head}.${body}`), { key: this.#key, dsaEncoding: "ieee-p1363" });
    return JSON.stringify({ protected: head, payload: body, signature: signature.toString("base64url") });
  }
}

const encoded = (text: string): string => Buffer.from(text).toString("base64url");
