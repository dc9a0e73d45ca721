/**
 * Gives a vault its keys, and later ones that encrypt. What is there already is recorded in the keyring as what needs
 * no authentication, or no encryption; everything after that does, so no host may be about to write without: the log is
 * empty, or its primary has stopped in order and no host has claimed since.
 *
 * There is no way back: a keyring whose last key encrypts gets none that does not.
 */
import { KeyringError } from "../errors.ts";
import { checkpointPrefix, chunkPrefix, exclusionPrefix, parseChunkKey, positionOfKey } from "../keys.ts";
import type { VaultIdentity } from "../store/identity.ts";
import { authenticatedPrefixes, encryptedPrefixes, hasTrailer, keyed } from "../store/keyed-store.ts";
import {
  createKeyring,
  type KeyringPorts,
  keysOf,
  type OpenedKeyring,
  readKeyring,
  withNextKey,
} from "../store/keyring.ts";
import type { Store } from "../store/store.ts";
import { logNumbers, type UpTo, type VaultKeys } from "../store/vault-keys.ts";
import { type Log, readRecord } from "./log.ts";
import { openLog } from "./open-log.ts";
import { claimPrefix, sealPrefix } from "./segment/segment-key.ts";

export interface NewKeysOptions {
  /** Default: they authenticate only. */
  readonly encrypts?: boolean;
  readonly ports?: KeyringPorts;
}

/** `store`: without keys. Returns the keyring, also if there was one. Throws KeyringError, StoreError. */
export async function turnOnKeys(
  store: Store,
  identity: VaultIdentity,
  secrets: readonly string[],
  { encrypts = false, ports }: NewKeysOptions = {},
): Promise<OpenedKeyring> {
  const known = await readKeyring(store, identity, secrets);
  if (known !== undefined) return known;
  const present = await presentIn(store, openLog(store, identity));
  const made = await createKeyring(store, identity, secrets, { encrypts, present }, ports);
  if (made === undefined) throw new KeyringError("the keyring is gone again", "one process that changes it", "Repeat.");
  return made;
}

/** Returns the keys of a new vault, which it gets now; undefined: it is not empty, and had none. */
export async function keysOfNew(
  store: Store,
  identity: VaultIdentity,
  secrets: readonly string[],
  { encrypts = false, ports }: NewKeysOptions = {},
): Promise<VaultKeys | undefined> {
  const known = await readKeyring(store, identity, secrets);
  if (known !== undefined) return keysOf(identity, known);
  const present = await presentIn(store, openLog(store, identity));
  if ([logNumbers, checkpointPrefix, exclusionPrefix].some((kind) => present[kind] !== undefined)) return undefined;
  const made = await createKeyring(store, identity, secrets, { encrypts, present }, ports);
  return made === undefined ? undefined : keysOf(identity, made);
}

/** The content of a keyring under which everything from now on is encrypted with a new key. Throws KeyringError. */
export async function contentForEncryption(
  store: Store,
  identity: VaultIdentity,
  ring: OpenedKeyring,
  ports: KeyringPorts = {},
): Promise<OpenedKeyring> {
  const keys = keysOf(identity, ring);
  const clear = await presentIn(store, openLog(keyed(store, keys), identity, { keys }));
  return { ...ring, content: { ...withNextKey(ring.content, true, ports), clear } };
}

/**
 * Returns which claims and seals need no authentication besides those that the keyring says: all, if a vault server has
 * written the newest. It has no keys (served-log.ts). Nothing, if a host has written the newest.
 */
export async function writtenByServer(store: Store): Promise<UpTo> {
  const newest = (await store.list(claimPrefix)).at(-1);
  const bytes = newest === undefined ? undefined : await store.get(newest);
  if (newest === undefined || bytes === undefined || hasTrailer(Buffer.from(bytes))) return {};
  const number = positionOfKey(claimPrefix, newest) ?? 0;
  return { [claimPrefix]: number, [sealPrefix]: number };
}

/** The content of a keyring with which hosts take over a folder that a vault server had. Throws KeyringError. */
export async function contentForHosts(
  store: Store,
  identity: VaultIdentity,
  ring: OpenedKeyring,
): Promise<OpenedKeyring> {
  const written = store.log === undefined ? await writtenByServer(store) : {};
  if (Object.keys(written).length === 0) return ring;
  const keys = keysOf(identity, withOpen(ring, written));
  await assertStopped(openLog(keyed(store, keys), identity, { keys }));
  return withOpen(ring, written);
}

export const withOpen = (ring: OpenedKeyring, open: UpTo): OpenedKeyring => ({
  ...ring,
  content: { ...ring.content, open: { ...ring.content.open, ...open } },
});

/** Returns the last number of everything that is there. Throws KeyringError if a host may write. */
async function presentIn(store: Store, log: Log): Promise<UpTo> {
  const last = await assertStopped(log);
  const present: Record<string, number> = last === undefined ? {} : { [logNumbers]: last };
  for (const prefix of new Set([...authenticatedPrefixes, ...encryptedPrefixes])) {
    let highest: number | undefined;
    for (const key of await store.list(prefix)) {
      const number = prefix === chunkPrefix ? parseChunkKey(key)?.position : positionOfKey(prefix, key);
      highest = Math.max(highest ?? 0, number ?? 0);
    }
    if (highest !== undefined) present[prefix] = highest;
  }
  return present;
}

/** Returns the last position; undefined: the log is empty. Throws KeyringError if a host may write. */
async function assertStopped(log: Log): Promise<number | undefined> {
  const last = (await log.positions()).at(-1);
  const record = last === undefined ? undefined : await readRecord(log, last);
  if (record !== undefined && record.body.kind !== "vacate")
    throw new KeyringError(
      `the last record of the log, ${last}, is a ${record.body.kind} record of host ${record.header.host}`,
      "a log whose primary has stopped in order (a vacate record)",
      "Stop all hosts, the primary last, and repeat; after a crash start a host, and stop it when it serves.",
    );
  return last;
}
