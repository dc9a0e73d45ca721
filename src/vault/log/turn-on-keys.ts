/**
 * Gives a vault its keys. What is there already is recorded in the keyring as what needs no authentication; everything
 * after that does, so no host may be about to write without: the log is empty, or its primary has stopped in order and
 * no host has claimed since.
 */
import { KeyringError } from "../errors.ts";
import { checkpointPrefix, exclusionPrefix, positionOfKey } from "../keys.ts";
import type { VaultIdentity } from "../store/identity.ts";
import { authenticatedPrefixes, hasTrailer, keyed } from "../store/keyed-store.ts";
import { createKeyring, type KeyringPorts, keysOf, type OpenedKeyring, readKeyring } from "../store/keyring.ts";
import type { Store } from "../store/store.ts";
import { logNumbers, type OpenUpTo, type VaultKeys } from "../store/vault-keys.ts";
import { type Log, readRecord } from "./log.ts";
import { openLog } from "./open-log.ts";
import { claimPrefix, sealPrefix } from "./segment/segment-key.ts";

/** `store`: without keys. Returns the keyring, also if there was one. Throws KeyringError, StoreError. */
export async function turnOnKeys(
  store: Store,
  identity: VaultIdentity,
  secrets: readonly string[],
  ports: KeyringPorts = {},
): Promise<OpenedKeyring> {
  const known = await readKeyring(store, identity, secrets);
  if (known !== undefined) return known;
  const made = await createKeyring(store, identity, secrets, await presentIn(store, identity), ports);
  if (made === undefined) throw new KeyringError("the keyring is gone again", "one process that changes it", "Repeat.");
  return made;
}

/** Returns the keys of a new vault, which it gets now; undefined: it is not empty, and had none. */
export async function keysOfNew(
  store: Store,
  identity: VaultIdentity,
  secrets: readonly string[],
): Promise<VaultKeys | undefined> {
  const known = await readKeyring(store, identity, secrets);
  if (known !== undefined) return keysOf(identity, known);
  const present = await presentIn(store, identity);
  if ([logNumbers, checkpointPrefix, exclusionPrefix].some((kind) => present[kind] !== undefined)) return undefined;
  const made = await createKeyring(store, identity, secrets, present);
  return made === undefined ? undefined : keysOf(identity, made);
}

/**
 * Returns which claims and seals need no authentication besides those that the keyring says: all, if a vault server has
 * written the newest. It has no keys (served-log.ts). Nothing, if a host has written the newest.
 */
export async function writtenByServer(store: Store): Promise<OpenUpTo> {
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

export const withOpen = (ring: OpenedKeyring, open: OpenUpTo): OpenedKeyring => ({
  ...ring,
  content: { ...ring.content, open: { ...ring.content.open, ...open } },
});

async function presentIn(store: Store, identity: VaultIdentity): Promise<OpenUpTo> {
  const last = await assertStopped(openLog(store, identity));
  const present: Record<string, number> = last === undefined ? {} : { [logNumbers]: last };
  for (const prefix of authenticatedPrefixes) {
    const numbers = (await store.list(prefix)).map((key) => positionOfKey(prefix, key) ?? 0);
    if (numbers.length > 0) present[prefix] = Math.max(...numbers);
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
