/** A vault folder of its own for one test, removed afterwards. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FsStore } from "../../../src/vault/store/fs-store.ts";
import { createVault, openStore } from "../../../src/vault/store/open-store.ts";

export interface TemporaryVault {
  readonly folder: string;
  readonly store: FsStore;
  /** Opens it once more, as another process would. */
  open(): Promise<FsStore>;
  dispose(): Promise<void>;
}

export async function makeTemporaryVault(service = "notes"): Promise<TemporaryVault> {
  const parent = await mkdtemp(join(tmpdir(), "stead-vault-"));
  const folder = join(parent, "vault");
  const stores = [await createVault(folder, service)];
  return {
    folder,
    store: stores[0] as FsStore,
    open: async () => {
      const store = await openStore(folder);
      stores.push(store);
      return store;
    },
    dispose: async () => {
      for (const store of stores) await store.close();
      await rm(parent, { recursive: true, force: true });
    },
  };
}
