/**
 * The keys with which a vault's objects are authenticated, so that who can write into the vault's folder cannot make
 * what hosts believe, and encrypted, so that who can read it learns nothing of the databases. keyring.ts says how the
 * vault keeps them, vault-cipher.ts how they encrypt.
 *
 * A key has a number, which every record and object names (log/record-codec.ts, keyed-store.ts). Each kind of use has a
 * key of its own, derived for this one vault: nothing of another vault, and no object in place of a record, is taken.
 * The last key writes, the others read what was written with them, so a new key needs nothing to be written again. Who
 * meets a key that it does not know reads the keyring again (`refresh`): hosts need not stop for a new key.
 *
 * What was written before a vault got its keys has no authentication. `open` says how far that goes, and is itself
 * authenticated: beyond it, whatever has no authentication is refused, also by a host that has never seen the vault.
 * `clear` says in the same way how far contents are not encrypted. A clear record beyond it is refused although it is
 * authenticated: a version that does not encrypt has written it.
 */
import { allRules, type Rules } from "../../core/rules.ts";
import { deriveKey, MacKey } from "../../runtime/mac.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { chunkPrefix, parseChunkKey } from "../keys.ts";
import type { ChunkNames } from "./chunk-names.ts";
import { VaultCipher } from "./vault-cipher.ts";

/** Largest number of a key: records name it in one byte. */
export const keyNumberMax = 255;
export const dataKeyBytes = 32;

/** By prefix of keys of the store, and `log` for the log: the last number that is excepted. */
export type UpTo = Readonly<Partial<Record<string, number>>>;

/** A key as the keyring has it. */
export interface DataKey {
  /** 1 to `keyNumberMax`. */
  readonly number: number;
  readonly bytes: Uint8Array;
  /** False or left out: it authenticates only. */
  readonly encrypts?: boolean | undefined;
}

export interface KeyringContent {
  readonly keys: readonly DataKey[];
  /** What needs no authentication. */
  readonly open: UpTo;
  /** What need not be encrypted. */
  readonly clear: UpTo;
}

export interface UseKey {
  readonly mac: MacKey;
  /** Undefined: it authenticates only. */
  readonly cipher: VaultCipher | undefined;
}

export interface NumberedKey extends UseKey {
  readonly number: number;
}

export interface VaultKeysOptions {
  readonly rules?: Rules;
  /** Reads the keyring again; undefined: it has none any more. Default: it never changes. */
  readonly readAgain?: () => Promise<KeyringContent | undefined>;
}

export class VaultKeys {
  readonly #vaultId: string;
  readonly #rules: Rules;
  readonly #readAgain: VaultKeysOptions["readAgain"];
  readonly #records = new Map<number, UseKey>();
  readonly #objects = new Map<number, UseKey>();
  /** For names of chunks, the newest first. */
  readonly #names: MacKey[] = [];
  #content: KeyringContent;

  /** `vaultId`: of the identity. The last key writes. */
  constructor(vaultId: string, content: KeyringContent, { rules = allRules, readAgain }: VaultKeysOptions = {}) {
    if (content.keys.length === 0) throw new RangeError("a keyring without a key");
    this.#vaultId = vaultId;
    this.#content = content;
    this.#rules = rules;
    this.#readAgain = readAgain;
    this.#add(content.keys);
  }

  /** True if what is written now is encrypted. */
  get isEncrypting(): boolean {
    return this.#content.keys.at(-1)?.encrypts === true;
  }

  /** Takes keys that the keyring has got since. Throws as `readKeyring`. */
  async refresh(): Promise<void> {
    const content = await this.#readAgain?.();
    if (content === undefined || content.keys.length <= this.#records.size) return;
    this.#add(content.keys.slice(this.#records.size));
    this.#content = content;
  }

  /** For what is written now. */
  get forRecords(): NumberedKey {
    return this.#newestOf(this.#records);
  }

  get forObjects(): NumberedKey {
    return this.#newestOf(this.#objects);
  }

  recordKey(number: number): UseKey | undefined {
    return this.#records.get(number);
  }

  objectKey(number: number): UseKey | undefined {
    return this.#objects.get(number);
  }

  /** True if the object with this number needs no authentication: it was there before the keys. */
  isOpen(prefix: string, number: number): boolean {
    return !this.#rules.has("authentic") || number <= (this.#content.open[prefix] ?? -1);
  }

  /** True if the object with this number need not be encrypted: it was there before, or the vault is not encrypted. */
  isClear(prefix: string, number: number): boolean {
    return !this.isEncrypting || !this.#rules.has("authentic") || number <= (this.#content.clear[prefix] ?? -1);
  }

  /** Undefined: the vault is not encrypted. */
  get chunkNames(): ChunkNames | undefined {
    if (!this.isEncrypting) return undefined;
    return {
      of: (content) => {
        const hash = sha256(content);
        const names = this.#names.map((key) => key.mac(hash).toString("hex"));
        // The last is that of a chunk from before the encryption.
        return [...names, hash.toString("hex")];
      },
      mayStay: (key) => !this.isClear(chunkPrefix, parseChunkKey(key)?.position ?? 0),
    };
  }

  #add(added: readonly DataKey[]): void {
    for (const { number, bytes, encrypts = false } of added) {
      for (const [use, keys] of [
        ["record", this.#records],
        ["object", this.#objects],
      ] as const)
        keys.set(number, {
          mac: new MacKey(deriveKey(bytes, this.#vaultId, `stead vault ${use}`)),
          cipher: encrypts ? new VaultCipher(bytes, this.#vaultId, use) : undefined,
        });
      if (encrypts) this.#names.unshift(new MacKey(deriveKey(bytes, this.#vaultId, "stead vault chunk name")));
    }
  }

  #newestOf(keys: ReadonlyMap<number, UseKey>): NumberedKey {
    const number = this.#content.keys.at(-1)?.number ?? 0;
    const key = keys.get(number);
    if (key === undefined) throw new Error("the newest key is not there");
    return { number, ...key };
  }
}

/** In place of a prefix: positions of the log. */
export const logNumbers = "log";
