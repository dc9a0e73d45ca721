/**
 * Gives a vault its keys. What is there already is recorded in the keyring as what needs no authentication; everything
 * after that does, so no host may be about to write without: the log is empty, or its primary has stopped in order and
 * no host has claimed since.
 */
import { KeyringError } from "../errors.ts";
import { positionOfKey } from "../keys.ts";
import type { VaultIdentity } from "../store/identity.ts";
import { authenticatedPrefixes } from "../store/keyed-store.ts";
import { createKeyring, type KeyringPorts, keysOf, type OpenedKeyring, readKeyring } from "../store/keyring.ts";
import type { Store } from "../store/store.ts";
import { logNumbers, type OpenUpTo, type VaultKeys } from "../store/vault-keys.ts";
import { readRecord } from "./log.ts";
import { openLog } from "./open-log.ts";

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
  if (Object.keys(await presentIn(store, identity)).length > 0) return undefined;
  const made = await createKeyring(store, identity, secrets);
  return made === undefined ? undefined : keysOf(identity, made);
}

async function presentIn(store: Store, identity: VaultIdentity): Promise<OpenUpTo> {
  const log = openLog(store, identity);
  const last = (await log.positions()).at(-1);
  const record = last === undefined ? undefined : await readRecord(log, last);
  if (record !== undefined && record.body.kind !== "vacate")
    throw new KeyringError(
      `the last record of the log, ${last}, is a ${record.body.kind} record of host ${record.header.host}`,
      "a log whose primary has stopped in order (a vacate record)",
      "Stop all hosts, the primary last, and repeat; after a crash start a host, and stop it when it serves.",
    );
  const present: Record<string, number> = last === undefined ? {} : { [logNumbers]: last };
  for (const prefix of authenticatedPrefixes) {
    const numbers = (await store.list(prefix)).map((key) => positionOfKey(prefix, key) ?? 0);
    if (numbers.length > 0) present[prefix] = Math.max(...numbers);
  }
  return present;
}
