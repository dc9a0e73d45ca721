/** The vault as a host uses it: measured, bounded in time, and authenticated with the vault's keys. */
import type { ClusterSecrets } from "../../config/cluster-secrets.ts";
import type { HostConfig } from "../../config/types.ts";
import type { PrometheusMetrics } from "../../metrics/prometheus.ts";
import { KnownLog } from "../../remote/known-end.ts";
import { openVault } from "../../remote/open-vault.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import { WrongSecretError } from "../../vault/errors.ts";
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
import { VaultSecrets } from "./vault-secrets.ts";

interface HostVault {
  /** Measures, and authenticates if the vault has keys. */
  readonly store: Store;
  /** Without keys: objects as the vault has them. */
  readonly raw: Store;
  readonly identity: VaultIdentity;
  readonly keys: VaultKeys | undefined;
  /** What opens them. */
  readonly secrets: VaultSecrets;
  /** The host has its folders from now on. Returns how both end. */
  own(folders: { release(): void }): () => Promise<void>;
}

interface VaultParts {
  readonly clock: Clock;
  readonly metrics: PrometheusMetrics;
  readonly log: Logger;
  readonly secrets: ClusterSecrets;
}

/** Throws the errors of stores, and KeyringError; nothing stays open then. */
export async function openHostVault(config: HostConfig, parts: VaultParts): Promise<HostVault> {
  const { clock, metrics, log, secrets } = parts;
  const { vaultUrl: url, vaultS3: s3, vaultTimeoutMs: timeoutMs, stateFolder } = config;
  const ownKey = config.vaultKey === undefined ? undefined : await vaultKeyOf(config);
  const openers = (): readonly string[] => (ownKey === undefined ? secrets.valid : [ownKey]);
  const known = new KnownLog();
  const vault = await openVault(url, { secrets: () => secrets.valid, timeoutMs, known, s3 });
  try {
    const why = url.startsWith("file:") ? await whyReadableByOthers(url) : undefined;
    if (why !== undefined) log.warn(why);
    const metered = new MeteredStore(new TimedStore(vault, clock, timeoutMs), clock, metrics);
    const identity = await ensureIdentity(metered, config.service);
    const keys = await openKnownKeys({ store: metered, identity, secrets: openers, stateFolder });
    const opening = new VaultSecrets({ store: metered, identity, secrets: openers, clock, log });
    // With a key of its own the vault does not depend on the secret.
    if (ownKey === undefined) secrets.use(() => opening.changed());
    const own = (folders: { release(): void }): (() => Promise<void>) => {
      const onFailure = (text: string): void => log.warn(text);
      const file = KnownEndFile.open({ stateFolder, vaultUrl: url, vaultId: identity.id, known, clock, onFailure });
      return async () => {
        await opening.close();
        file.close();
        await vault.close().finally(() => folders.release());
      };
    };
    return { store: keyed(metered, keys), raw: metered, identity, keys, secrets: opening, own };
  } catch (error) {
    await vault.close();
    throw error instanceof WrongSecretError ? namingFile(error, secrets.place) : error;
  }
}

/** A host that was down while the secret was rotated comes here: its file is the old one. */
const namingFile = (error: WrongSecretError, place: string): WrongSecretError =>
  new WrongSecretError(
    `${error.found}, which is from ${place}`,
    `Copy the cluster's present secret file over ${place}: it was changed while this host was down, or was never this one. If the vault does not open with the present one either, run \`stead vault rekey\` with the former one in --former-secret-file.`,
  );
