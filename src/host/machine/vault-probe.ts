/**
 * Whether this host can write into the vault, found out before it is asked to: a secondary only reads there, and its
 * mount may be read-only.
 *
 * A small object under a key of its own (`probes/<host>/<run>-<number>`) is put and deleted. Nothing else reads below
 * `probes/`: log, checkpoints, retention and verification look at their own prefixes. The number moves on only after
 * the object is gone, so a vault that hangs is asked for one key (timed-store.ts keeps such operations from piling up).
 * What a run that was killed left is removed by the next run of the host.
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
   * The vault's identity as it is now, undefined when there is none. Rejects with StoreError and what an identity
   * cannot be read by.
   */
  async identify(): Promise<string | undefined> {
    return (await readIdentity(this.#options.store))?.id;
  }

  /** Rejects with StoreError. An object that was put and could not be deleted is deleted the next time. */
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
    // Of an earlier try that seemed to fail: it was written all the same, but not now.
    if (kind === "exists") await this.write();
  }
}
