/** Deletes many keys in their order, a few at a time. */
import { deletionsAtOnce } from "../limits.ts";
import type { Store } from "./store.ts";

/** Rejects with StoreError and the signal's reason; later keys then still exist. */
export async function deleteAll(store: Store, keys: readonly string[], signal?: AbortSignal): Promise<void> {
  for (let at = 0; at < keys.length; at += deletionsAtOnce) {
    signal?.throwIfAborted();
    await Promise.all(keys.slice(at, at + deletionsAtOnce).map((key) => store.delete(key)));
  }
}
