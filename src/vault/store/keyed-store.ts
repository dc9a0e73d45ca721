/**
 * A store whose objects are authenticated, and encrypted if the vault's keys do that: what is put gets a trailer; what
 * is got is verified and comes without it.
 *
 *     content, or as many encrypted bytes
 *     offset from its end
 *          0     32  authenticated: HMAC-SHA256 over SHA-256(content) ‖ the object's key in the store
 *                    encrypted: salt, 16 bytes, and tag, 16 bytes (vault-cipher.ts)
 *         32      2  number of the vault's key, little-endian
 *         34      4  magic: "STMC" authenticated, "STEC" encrypted
 *
 * The object's own key is part of either: none can be put in place of another. Encrypted are manifests, chunks and
 * exclusions. Claims and seals are authenticated only: they carry records, which are encrypted themselves
 * (log/record-codec.ts), and otherwise numbers of terms and positions; a vault server, which has no keys, writes and
 * reads them as well. Objects of other kinds have none: records carry their own, chunks that are not encrypted have
 * their hash in the manifest, and of boundaries and marks only names and hints are read, which can stop hosts and
 * cannot mislead them.
 */
import type { StagedBytes } from "../../core/delta.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { macBytes } from "../../runtime/mac.ts";
import { StrangeObjectError } from "../errors.ts";
import { checkpointPrefix, chunkPrefix, exclusionPrefix, parseChunkKey, positionOfKey } from "../keys.ts";
import { objectBytesMax } from "../limits.ts";
import type { ChunkNames } from "./chunk-names.ts";
import { ForwardingStore } from "./forwarding-store.ts";
import type { PutOutcome, Store } from "./store.ts";
import { saltBytes } from "./vault-cipher.ts";
import type { VaultKeys } from "./vault-keys.ts";

const macMagic = 0x434d5453;
const cipherMagic = 0x43455453;
export const trailerBytes = macBytes + 6;

/** Prefixes of what is authenticated here, each with numbers. The last two are of a log in segments. */
export const authenticatedPrefixes: readonly string[] = [checkpointPrefix, exclusionPrefix, "claims/", "seals/"];
/** Prefixes of what is encrypted if the vault is. */
export const encryptedPrefixes: readonly string[] = [checkpointPrefix, exclusionPrefix, chunkPrefix];

export class KeyedStore extends ForwardingStore {
  readonly #keys: VaultKeys;

  constructor(inner: Store, keys: VaultKeys) {
    super(inner);
    this.#keys = keys;
  }

  override get chunkNames(): ChunkNames | undefined {
    return this.#keys.chunkNames;
  }

  override putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    const { number, mac, cipher } = this.#keys.forObjects;
    if (cipher !== undefined && hasPrefix(encryptedPrefixes, key)) {
      const encrypted = cipher.encrypt(Buffer.from(key), bytes);
      const trailer = [encrypted.salt, encrypted.tag, trailerEnd(number, cipherMagic)];
      return super.putIfAbsent(key, Buffer.concat([encrypted.bytes, ...trailer]));
    }
    if (!hasPrefix(authenticatedPrefixes, key)) return super.putIfAbsent(key, bytes);
    return super.putIfAbsent(key, Buffer.concat([bytes, mac.mac(messageOf(key, bytes)), trailerEnd(number, macMagic)]));
  }

  /** What is staged stands in the vault as it is, and becomes a record only later: in an encrypted vault nothing is. */
  override async stage(bytes: Uint8Array): Promise<StagedBytes | undefined> {
    return this.#keys.isEncrypting ? undefined : super.stage(bytes);
  }

  override async get(key: string, bytesMax = objectBytesMax): Promise<Uint8Array | undefined> {
    const isEncrypted = this.#keys.isEncrypting && hasPrefix(encryptedPrefixes, key);
    if (!isEncrypted && !hasPrefix(authenticatedPrefixes, key)) return super.get(key, bytesMax);
    const stored = await super.get(key, bytesMax + trailerBytes);
    if (stored === undefined) return undefined;
    const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
    const magic = bytes.length < trailerBytes ? 0 : bytes.readUInt32LE(bytes.length - 4);
    await this.#know(magic, bytes);
    if (isEncrypted && magic === cipherMagic) return this.#decrypted(key, bytes);
    if (isEncrypted) this.#assertClear(key);
    // A chunk that is not encrypted is proven by its name (checkpoint/chunk-codec.ts).
    return key.startsWith(chunkPrefix) ? stored : this.#verified(key, bytes, magic);
  }

  /** The keyring may have got another key since it was read. */
  async #know(magic: number, stored: Buffer): Promise<void> {
    if (magic !== macMagic && magic !== cipherMagic) return;
    if (this.#keys.objectKey(trailerOf(stored).number) === undefined) await this.#keys.refresh();
  }

  #decrypted(key: string, stored: Buffer): Uint8Array {
    const { number, end } = trailerOf(stored);
    const [salt, tag] = [stored.subarray(end, end + saltBytes), stored.subarray(end + saltBytes, end + macBytes)];
    const cipher = this.#keys.objectKey(number)?.cipher;
    const content = cipher?.decrypt(Buffer.from(key), { bytes: stored.subarray(0, end), salt, tag });
    if (content !== undefined) return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
    // The end of a chunk from before the encryption may look like a trailer: its name decides.
    if (key.startsWith(chunkPrefix) && this.#isClear(key)) return stored;
    throw new StrangeObjectError(key, cipher === undefined ? unknownKey(number) : changed, accepted);
  }

  #verified(key: string, stored: Buffer, magic: number): Uint8Array {
    if (magic !== macMagic) {
      if (this.#keys.isOpen(prefixOf(key), numberOf(key))) return stored;
      throw new StrangeObjectError(key, "an object without authentication", accepted);
    }
    const { number, end } = trailerOf(stored);
    const mac = this.#keys.objectKey(number)?.mac;
    if (mac === undefined) throw new StrangeObjectError(key, unknownKey(number), accepted);
    const content = stored.subarray(0, end);
    if (!mac.verifies(messageOf(key, content), stored.subarray(end, end + macBytes)))
      throw new StrangeObjectError(key, changed, accepted);
    return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  }

  #isClear(key: string): boolean {
    return this.#keys.isClear(prefixOf(key), numberOf(key));
  }

  #assertClear(key: string): void {
    if (this.#isClear(key)) return;
    throw new StrangeObjectError(key, "an object that is not encrypted, in an encrypted vault", accepted);
  }
}

/** True if the bytes of an object seem to have a code of a key at their end. */
export const hasTrailer = (bytes: Buffer): boolean =>
  bytes.length >= trailerBytes && bytes.readUInt32LE(bytes.length - 4) === macMagic;

/** Returns the store as it is if there are no keys. */
export const keyed = (store: Store, keys: VaultKeys | undefined): Store =>
  keys === undefined ? store : new KeyedStore(store, keys);

const accepted = "one that a host of the cluster has written with the vault's keys";
const unknownKey = (number: number): string => `an object of the unknown key ${number}`;
const changed = "an object that was changed, or not written with the vault's keys";

const hasPrefix = (prefixes: readonly string[], key: string): boolean =>
  prefixes.some((prefix) => key.startsWith(prefix));
const prefixOf = (key: string): string => key.slice(0, key.indexOf("/") + 1);
const numberOf = (key: string): number => positionOfKey(prefixOf(key), key) ?? parseChunkKey(key)?.position ?? Infinity;

const messageOf = (key: string, content: Uint8Array): Uint8Array => Buffer.concat([sha256(content), Buffer.from(key)]);

/** Returns what is before the magic: the number of the key, and where the content ends. */
function trailerOf(stored: Buffer): { readonly number: number; readonly end: number } {
  const end = stored.length - trailerBytes;
  return { number: stored.readUInt16LE(end + macBytes), end };
}

function trailerEnd(number: number, magic: number): Buffer {
  const end = Buffer.alloc(6);
  end.writeUInt16LE(number, 0);
  end.writeUInt32LE(magic, 2);
  return end;
}
