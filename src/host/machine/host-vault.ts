/** The vault as a host uses it: measured, bounded in time, and authenticated with the vault's keys. */
import type { HostConfig } from "../../config/types.ts";
import type { PrometheusMetrics } from "../../metrics/prometheus.ts";
import { KnownLog } from "../../remote/known-end.ts";
import { openVault } from "../../remote/open-vault.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { ensureIdentity, type VaultIdentity } from "../../vault/store/identity.ts";
import { keyed } from "../../vault/store/keyed-store.ts";
import { whyReadableByOthers } from "../../vault/store/open-store.ts";
import type { Store } from "../../vault/store/store.ts";
import type { VaultKeys } from "../../vault/store/vault-keys.ts";
import { KnownEndFile } from "./known-end-file.ts";
import { openKnownKeys } from "./known-keys.ts";
import { MeteredStore } from "./metered-store.ts";
import { TimedStore } from "./timed-store.ts";
import { vaultKeyOf } from "./vault-key.ts";

interface HostVault {
  /** Measures, and authenticates if the vault has keys. */
  readonly store: Store;
  readonly identity: VaultIdentity;
  readonly keys: VaultKeys | undefined;
  /** The host has its folders from now on. Returns how both end. */
  own(folders: { release(): void }): () => Promise<void>;
}

interface VaultParts {
  readonly clock: Clock;
  readonly metrics: PrometheusMetrics;
  readonly log: Logger;
}

/** Throws the errors of stores, and KeyringError; nothing stays open then. */
export async function openHostVault(config: HostConfig, { clock, metrics, log }: VaultParts): Promise<HostVault> {
  const { vaultUrl: url, vaultS3: s3, vaultTimeoutMs: timeoutMs, secret, stateFolder } = config;
  const secrets = [await vaultKeyOf(config)];
  const known = new KnownLog();
  const vault = await openVault(url, { secret, timeoutMs, known, s3 });
  try {
    const why = url.startsWith("file:") ? await whyReadableByOthers(url) : undefined;
    if (why !== undefined) log.warn(why);
    const metered = new MeteredStore(new TimedStore(vault, clock, timeoutMs), clock, metrics);
    const identity = await ensureIdentity(metered, config.service);
    const keys = await openKnownKeys({ store: metered, identity, secrets, stateFolder });
    const own = (folders: { release(): void }): (() => Promise<void>) => {
      const onFailure = (text: string): void => log.warn(text);
      const file = KnownEndFile.open({ stateFolder, vaultUrl: url, vaultId: identity.id, known, clock, onFailure });
      return async () => {
        file.close();
        await vault.close().finally(() => folders.release());
      };
    };
    return { store: keyed(metered, keys), identity, keys, own };
  } catch (error) {
    await vault.close();
    throw error;
  }
}
