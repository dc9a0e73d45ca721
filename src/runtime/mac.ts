/**
 * Message authentication and key derivation: HMAC-SHA256 (RFC 2104) and HKDF (RFC 5869).
 *
 * HMAC is made of two one-shot hashes: for the short messages of a log that costs less than a hash object.
 */
import crypto from "node:crypto";
import { sha256 } from "./sha256.ts";

const blockBytes = 64;
export const macBytes = 32;
const innerPad = 0x36;
const outerPad = 0x5c;

export class MacKey {
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  /** `key`: at most 64 bytes. */
  constructor(key: Uint8Array) {
    if (key.length > blockBytes) throw new RangeError(`a key of ${key.length} bytes, at most ${blockBytes} are used`);
    this.#inner = padded(key, innerPad);
    this.#outer = padded(key, outerPad);
  }

  /** Returns 32 bytes. */
  mac(message: Uint8Array): Buffer {
    const inner = sha256(Buffer.concat([this.#inner, message]));
    return sha256(Buffer.concat([this.#outer, inner]));
  }

  /** In a time that does not depend on where they differ. */
  verifies(message: Uint8Array, mac: Uint8Array): boolean {
    return mac.length === macBytes && crypto.timingSafeEqual(this.mac(message), mac);
  }
}

function padded(key: Uint8Array, pad: number): Buffer {
  const block = Buffer.alloc(blockBytes, pad);
  key.forEach((byte, at) => (block[at] = byte ^ pad));
  return block;
}

/** Returns 32 bytes for one purpose. */
export const deriveKey = (from: Uint8Array, salt: string, purpose: string): Uint8Array =>
  new Uint8Array(crypto.hkdfSync("sha256", from, salt, purpose, 32));
