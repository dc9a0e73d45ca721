/** What copying a vault needs of the machine: the vault as it is, and the places of copies. */
import type { HostConfig } from "../../config/types.ts";
import type { VaultCopyConfig } from "../../config/vault-copy.ts";
import { openCopy, type OpenedVault } from "../../remote/open-vault.ts";
import type { VaultIdentity } from "../../vault/store/identity.ts";
import type { Store } from "../../vault/store/store.ts";
import { type Partition, PartitionedStore } from "./partition.ts";

interface CopiedVault {
  /** Without keys. */
  readonly raw: Store;
  readonly identity: VaultIdentity;
}

/** `partition`: of drills, which take the vault away. */
export const vaultCopyPorts = (
  { vaultTimeoutMs }: HostConfig,
  { raw, identity }: CopiedVault,
  partition: Partition,
) => ({
  ...{ source: new PartitionedStore(raw, partition), identity },
  open: ({ url, s3 }: VaultCopyConfig): Promise<OpenedVault> => openCopy(url, { s3, timeoutMs: vaultTimeoutMs }),
});
