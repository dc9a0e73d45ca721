/** Opens the log of a vault where its identity says that it is. */
import type { Clock } from "../../runtime/clock.ts";
import type { Random } from "../../runtime/random.ts";
import type { VaultIdentity } from "../store/identity.ts";
import { type Store, StoreError } from "../store/store.ts";
import type { VaultKeys } from "../store/vault-keys.ts";
import type { Log } from "./log.ts";
import { ServedLog } from "./served-log.ts";
import { SegmentLog } from "./segment/segment-log.ts";
import { StoreLog } from "./store-log.ts";

export interface OpenLogOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Of the vault; `store` authenticates with the same (keyed-store.ts). */
  readonly keys?: VaultKeys | undefined;
}

/** Throws StoreError `unsuitable` if the log cannot be used through this store. */
export function openLog(
  store: Store,
  { service, log }: Pick<VaultIdentity, "service" | "log">,
  options: OpenLogOptions = {},
): Log {
  if (store.log !== undefined) return new ServedLog(store.log, service, options.keys);
  if (log === "objects") return new StoreLog(store, service, options.keys);
  const { files } = store;
  if (files === undefined)
    throw new StoreError(
      "unsuitable",
      `the log of ${store.url} is in segments, and this file system may be shared with other machines`,
      "Segments need one kernel: let all hosts run where the disk is, or make the vault with `stead vault create --log objects`.",
    );
  return new SegmentLog({ store, files, service, ...options });
}
