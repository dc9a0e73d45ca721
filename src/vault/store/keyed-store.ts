/**
 * A store whose objects are authenticated: what is put gets a trailer; what is got is verified and comes without it.
 *
 *     content
 *     offset from its end
 *          0     32  HMAC-SHA256 over SHA-256(content) ‖ the object's key in the store
 *         32      2  number of the vault's key, little-endian
 *         34      4  magic "STMC"
 *
 * The object's own key is part of it: none can be put in place of another. Objects of other kinds need none: records
 * carry their own (log/record-codec.ts), manifests have the hashes of chunks, and of boundaries and marks only names
 * and hints are read, which can stop hosts and cannot mislead them.
 */
import { sha256 } from "../../runtime/sha256.ts";
import { macBytes } from "../../runtime/mac.ts";
import { StrangeObjectError } from "../errors.ts";
import { checkpointPrefix, exclusionPrefix, positionOfKey } from "../keys.ts";
import { objectBytesMax } from "../limits.ts";
import { ForwardingStore } from "./forwarding-store.ts";
import type { PutOutcome, Store } from "./store.ts";
import type { VaultKeys } from "./vault-keys.ts";

const magic = 0x434d5453;
export const trailerBytes = macBytes + 6;

/** Prefixes of what is authenticated here, each with numbers. The last two are of a log in segments. */
export const authenticatedPrefixes: readonly string[] = [checkpointPrefix, exclusionPrefix, "claims/", "seals/"];

export class KeyedStore extends ForwardingStore {
  readonly #keys: VaultKeys;

  constructor(inner: Store, keys: VaultKeys) {
    super(inner);
    this.#keys = keys;
  }

  override putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    if (prefixOf(key) === undefined) return super.putIfAbsent(key, bytes);
    const { number, key: mac } = this.#keys.forObjects;
    const trailer = Buffer.alloc(6);
    trailer.writeUInt16LE(number, 0);
    trailer.writeUInt32LE(magic, 2);
    return super.putIfAbsent(key, Buffer.concat([bytes, mac.mac(messageOf(key, bytes)), trailer]));
  }

  override async get(key: string, bytesMax = objectBytesMax): Promise<Uint8Array | undefined> {
    const prefix = prefixOf(key);
    if (prefix === undefined) return super.get(key, bytesMax);
    const bytes = await super.get(key, bytesMax + trailerBytes);
    return bytes === undefined ? undefined : this.#verified(prefix, key, bytes);
  }

  #verified(prefix: string, key: string, stored: Uint8Array): Uint8Array {
    const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
    const end = bytes.length - trailerBytes;
    if (!hasTrailer(bytes)) {
      if (this.#keys.isOpen(prefix, positionOfKey(prefix, key) ?? Infinity)) return stored;
      throw new StrangeObjectError(key, "an object without authentication", accepted);
    }
    const content = stored.subarray(0, end);
    const number = bytes.readUInt16LE(end + macBytes);
    const mac = this.#keys.objectKey(number);
    if (mac === undefined) throw new StrangeObjectError(key, `an object of the unknown key ${number}`, accepted);
    if (!mac.verifies(messageOf(key, content), bytes.subarray(end, end + macBytes)))
      throw new StrangeObjectError(key, "an object that was changed, or not written with the vault's keys", accepted);
    return content;
  }
}

export const hasTrailer = (bytes: Buffer): boolean =>
  bytes.length >= trailerBytes && bytes.readUInt32LE(bytes.length - 4) === magic;

/** Returns the store as it is if there are no keys. */
export const keyed = (store: Store, keys: VaultKeys | undefined): Store =>
  keys === undefined ? store : new KeyedStore(store, keys);

const accepted = "one that a host of the cluster has written with the vault's keys";

const prefixOf = (key: string): string | undefined => authenticatedPrefixes.find((prefix) => key.startsWith(prefix));

const messageOf = (key: string, content: Uint8Array): Uint8Array => Buffer.concat([sha256(content), Buffer.from(key)]);
