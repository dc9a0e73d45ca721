/**
 * Encryption at rest: AES-256-GCM, with a key of its own for each content.
 *
 *     salt       = the first 16 bytes of HMAC-SHA256(salt key, name ‖ SHA-256(content))
 *     key        = HMAC-SHA256(cipher key, name ‖ salt)
 *     encrypted  = AES-256-GCM(key, nonce of zeros, content), with its tag of 16 bytes
 *
 * Both keys are derived from a key of the vault, for this one vault and kind of use. The name of a record is the first
 * 160 bytes of its header (log/record-codec.ts), the name of an object is its key in the store (keyed-store.ts).
 *
 * **Why no key and nonce ever serve two contents.** The key follows from name and content alone. Two different
 * contents get one key only if 128 bits of HMAC-SHA256 collide under one name. So it needs neither a counter nor a
 * generator that never repeats, and there is nothing to remember:
 * - *Epochs and hosts:* position, epoch, writer and the record before are in the name. Were they the same, by a defect,
 *   another content would still have another key.
 * - *A put that is repeated after an ambiguous answer:* the same name and content, hence the same bytes. A record that
 *   was prepared and then replaced by another at its position may stay in a temporary file: its content differs, and so
 *   does its key.
 * - *A machine that was set back to a snapshot, with the state of its random generators:* nothing random is used.
 *   Whatever it does differently has another content.
 * Equal bytes show an equal content under an equal name: that something was put again as it was.
 *
 * **Why none can be put in another's place.** Name and salt make the key, and the tag is checked under it: bytes that
 * were moved to another name, or changed, do not decrypt. The tag thus authenticates the content, and a reader hashes
 * it no second time; the writer's hash is the one that records had before. Compression comes before encryption.
 *
 * GCM does not commit to its key: who has the vault's key could make bytes that decrypt under two names. Who has it may
 * write anything anyway.
 */
import crypto from "node:crypto";
import { deriveKey, MacKey } from "../../runtime/mac.ts";
import { sha256 } from "../../runtime/sha256.ts";

export const saltBytes = 16;
const algorithm = "aes-256-gcm";
const nonce = Buffer.alloc(12);

export interface Encrypted {
  /** As long as the content. */
  readonly bytes: Buffer;
  readonly salt: Buffer;
  readonly tag: Buffer;
}

export class VaultCipher {
  readonly #salts: MacKey;
  readonly #keys: MacKey;

  /** `key`: of the vault. `use`: what is encrypted; each has keys of its own. */
  constructor(key: Uint8Array, vaultId: string, use: "record" | "object") {
    this.#salts = new MacKey(deriveKey(key, vaultId, `stead vault ${use} salt`));
    this.#keys = new MacKey(deriveKey(key, vaultId, `stead vault ${use} cipher`));
  }

  /** The salt has one length, so name and salt make one text. */
  encrypt(name: Uint8Array, content: Uint8Array): Encrypted {
    const salt = this.#salts.mac(Buffer.concat([name, sha256(content)])).subarray(0, saltBytes);
    const cipher = crypto.createCipheriv(algorithm, this.#keyOf(name, salt), nonce);
    const bytes = cipher.update(content);
    cipher.final();
    return { bytes, salt, tag: cipher.getAuthTag() };
  }

  /** Undefined: it was changed, has another name, or was not encrypted with this key. */
  decrypt(name: Uint8Array, { bytes, salt, tag }: Encrypted): Buffer | undefined {
    const decipher = crypto.createDecipheriv(algorithm, this.#keyOf(name, salt), nonce).setAuthTag(tag);
    const content = decipher.update(bytes);
    try {
      decipher.final();
    } catch {
      return undefined;
    }
    return content;
  }

  #keyOf(name: Uint8Array, salt: Uint8Array): Buffer {
    return this.#keys.mac(Buffer.concat([name, salt]));
  }
}
