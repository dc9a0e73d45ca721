/**
 * The keys with which a vault's objects are authenticated, so that who can write into the vault's folder cannot make
 * what hosts believe. keyring.ts says how the vault keeps them.
 *
 * A key has a number, which every record and object names (log/record-codec.ts, keyed-store.ts). Each kind of use has a
 * key of its own, derived for this one vault: nothing of another vault, and no object in place of a record, is taken.
 *
 * What was written before a vault got its keys has no authentication. `open` says how far that goes, and is itself
 * authenticated: beyond it, whatever has no authentication is refused, also by a host that has never seen the vault.
 */
import { allRules, type Rules } from "../../core/rules.ts";
import { deriveKey, MacKey } from "../../runtime/mac.ts";

/** Largest number of a key: records name it in one byte. */
export const keyNumberMax = 255;
export const dataKeyBytes = 32;

/** By prefix of keys of the store, and `log` for the log: the last number that needs no authentication. */
export type OpenUpTo = Readonly<Partial<Record<string, number>>>;

/** A key as the keyring has it. */
export interface DataKey {
  /** 1 to `keyNumberMax`. */
  readonly number: number;
  readonly bytes: Uint8Array;
}

export interface NumberedMac {
  readonly number: number;
  readonly key: MacKey;
}

export class VaultKeys {
  readonly #open: OpenUpTo;
  readonly #rules: Rules;
  readonly #records = new Map<number, MacKey>();
  readonly #objects = new Map<number, MacKey>();
  readonly #newest: number;

  /** `vaultId`: of the identity. The last key writes. */
  constructor(vaultId: string, keys: readonly DataKey[], open: OpenUpTo, rules: Rules = allRules) {
    this.#open = open;
    this.#rules = rules;
    const newest = keys.at(-1);
    if (newest === undefined) throw new RangeError("a keyring without a key");
    this.#newest = newest.number;
    for (const { number, bytes } of keys) {
      this.#records.set(number, new MacKey(deriveKey(bytes, vaultId, "stead vault record")));
      this.#objects.set(number, new MacKey(deriveKey(bytes, vaultId, "stead vault object")));
    }
  }

  /** For what is written now. */
  get forRecords(): NumberedMac {
    return { number: this.#newest, key: this.#known(this.#records) };
  }

  get forObjects(): NumberedMac {
    return { number: this.#newest, key: this.#known(this.#objects) };
  }

  recordKey(number: number): MacKey | undefined {
    return this.#records.get(number);
  }

  objectKey(number: number): MacKey | undefined {
    return this.#objects.get(number);
  }

  /** True if the object with this number needs no authentication: it was there before the keys. */
  isOpen(prefix: string, number: number): boolean {
    return !this.#rules.has("authentic") || number <= (this.#open[prefix] ?? -1);
  }

  #known(keys: ReadonlyMap<number, MacKey>): MacKey {
    const key = keys.get(this.#newest);
    if (key === undefined) throw new Error("the newest key is not there");
    return key;
  }
}

/** In place of a prefix: positions of the log. */
export const logNumbers = "log";
