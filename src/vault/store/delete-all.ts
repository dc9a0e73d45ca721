/** Deletes many keys, a few at the same time, in their order. */
import { deletionsAtOnce } from "../limits.ts";
import type { Store } from "./store.ts";

/** Rejects with StoreError and the signal's reason; what comes after is there still then. */
export async function deleteAll(store: Store, keys: readonly string[], signal?: AbortSignal): Promise<void> {
  for (let at = 0; at < keys.length; at += deletionsAtOnce) {
    signal?.throwIfAborted();
    await Promise.all(keys.slice(at, at + deletionsAtOnce).map((key) => store.delete(key)));
  }
}
