/**
 * Tests whether this host can write to the vault before it has to: a secondary only reads there, and its mount may be
 * read-only.
 *
 * A small object under a key of its own (`probes/<host>/<run>-<number>`) is put and deleted. Nothing else reads below
 * `probes/`: log, checkpoints, retention and verification look at their own prefixes. The number increases only after
 * the object is gone, so a hung vault sees one key only (timed-store.ts keeps such operations from piling up). The next
 * run of the host removes what a killed run left.
 */
import { readIdentity } from "../../vault/store/identity.ts";
import { probeKey, probePrefixOf } from "../../vault/keys.ts";
import type { Store } from "../../vault/store/store.ts";

export interface VaultProbeOptions {
  readonly store: Store;
  readonly host: string;
  readonly instance: string;
}

export class VaultProbe {
  readonly #options: VaultProbeOptions;
  #number = 1;
  #isSwept = false;

  constructor(options: VaultProbeOptions) {
    this.#options = options;
  }

  /**
   * Returns the vault's present identity, undefined if there is none. Rejects with StoreError and errors of reading an
   * identity.
   */
  async identify(): Promise<string | undefined> {
    return (await readIdentity(this.#options.store))?.id;
  }

  /** Rejects with StoreError. An object that was put but could not be deleted is deleted next time. */
  async write(): Promise<void> {
    const { store, host, instance } = this.#options;
    if (!this.#isSwept) {
      for (const key of await store.list(probePrefixOf(host))) await store.delete(key);
      this.#isSwept = true;
    }
    const key = probeKey(host, instance, this.#number);
    const { kind } = await store.putIfAbsent(key, new TextEncoder().encode(key));
    await store.delete(key);
    this.#number += 1;
    // From an earlier try that seemed to fail: it was written after all, but not now.
    if (kind === "exists") await this.write();
  }
}
