/** Opens the vault that a host is configured with: a folder, one that a vault server has, or one in a bucket. */
import { isVaultUrl, parseVaultUrl } from "../core/vault-address.ts";
import { isS3Url, type S3Settings } from "../core/s3-place.ts";
import { openS3Copy, openS3Vault } from "../s3/open-s3-vault.ts";
import { systemClock } from "../runtime/clock.ts";
import { systemRandom } from "../runtime/random.ts";
import { systemTcp } from "../runtime/tcp/system-tcp.ts";
import { NotAVaultError } from "../vault/errors.ts";
import { readIdentity } from "../vault/store/identity.ts";
import { openCopyFolder, openStore } from "../vault/store/open-store.ts";
import { type Store, StoreError } from "../vault/store/store.ts";
import type { KnownLog } from "./known-end.ts";
import { RemoteStore } from "./remote-store.ts";
import { VaultClient } from "./vault-client.ts";

export interface OpenVaultOptions {
  /** Of the cluster, those that are valid now; a vault server needs one. */
  readonly secrets: () => readonly string[];
  /** For one call to a vault server. */
  readonly timeoutMs: number;
  readonly known?: KnownLog;
  /** Where a bucket is, of the configuration. */
  readonly s3?: S3Settings | undefined;
}

export type OpenedVault = Store & { close(): Promise<void> };

/**
 * @param url `file:///absolute/path`, an absolute path, `stead://host:port`, or `s3://bucket/prefix`.
 * Throws NotAVaultError and StoreError, with advice.
 */
export async function openVault(
  url: string,
  { secrets, timeoutMs, known, s3 }: OpenVaultOptions,
): Promise<OpenedVault> {
  if (isS3Url(url)) return openS3Vault(url, { settings: settingsFor(url, s3), timeoutMs });
  if (!isVaultUrl(url)) return openStore(url);
  const address = parseVaultUrl(url);
  if (address === undefined)
    throw new StoreError("unsuitable", `${url} is not the address of a vault server`, "Write stead://host:port.");
  if (secrets().length === 0)
    throw new StoreError("denied", `no secret for ${url}`, "Name a configuration file that has [cluster].");
  const client = new VaultClient({
    ...{ url, address, secrets, timeoutMs, clock: systemClock, random: systemRandom, tcp: systemTcp },
    ...(known === undefined ? {} : { known }),
  });
  const store = new RemoteStore(client);
  try {
    if ((await readIdentity(store)) === undefined) throw new NotAVaultError(url, "it has no identity");
    return store;
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Opens the place of a copy of a vault, a folder or a bucket, whatever is there. Throws StoreError, with advice. */
export const openCopy = (
  url: string,
  { timeoutMs, s3 }: Pick<OpenVaultOptions, "timeoutMs" | "s3">,
): Promise<OpenedVault> =>
  isS3Url(url) ? openS3Copy(url, { settings: settingsFor(url, s3), timeoutMs }) : openCopyFolder(url);

/** Throws StoreError. */
export function settingsFor(url: string, settings: S3Settings | undefined): S3Settings {
  if (settings !== undefined) return settings;
  throw new StoreError("denied", `no endpoint for ${url}`, "Name a configuration file whose [host] has this vault.");
}
