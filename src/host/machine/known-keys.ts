/**
 * Whether this host's vault has keys and is encrypted, and that it was before.
 *
 * A vault says itself whether it has keys, and a writer of its folder can remove them: it would then look like one
 * without, whose records that writer can forge. Without its newest keyring an encrypted vault would look like one that
 * is not, and hosts would write clear records into it. So a host notes in its state folder that its vault has keys, and
 * that they encrypt, before it reads anything else, and from then on accepts no vault without.
 */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { KeyringError } from "../../vault/errors.ts";
import type { VaultIdentity } from "../../vault/store/identity.ts";
import { readKeys } from "../../vault/store/keyring.ts";
import type { Store } from "../../vault/store/store.ts";
import type { VaultKeys } from "../../vault/store/vault-keys.ts";

export interface KnownKeysOptions {
  readonly store: Store;
  readonly identity: Pick<VaultIdentity, "id">;
  /** What opens the keys whenever they are read. */
  readonly secrets: readonly string[] | (() => readonly string[]);
  readonly stateFolder: string;
}

const markName = "vault-keys.json";
const markSchema = v.object({ encrypts: v.optional(v.boolean(), false) });

/** Returns the vault's keys; undefined: it has none, and never had while this host used it. Throws KeyringError. */
export async function openKnownKeys({
  store,
  identity,
  secrets,
  stateFolder,
}: KnownKeysOptions): Promise<VaultKeys | undefined> {
  const keys = await readKeys(store, identity, secrets);
  const mark = join(stateFolder, markName);
  const known = await readFile(mark, "utf8").catch((error: unknown) => {
    // Only its absence says that there is none: a mark that cannot be read would hide that keys were removed.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  });
  if (keys === undefined && known !== undefined)
    throw new KeyringError(
      `the vault ${store.url} has no keys, and this host has used it with keys`,
      "a vault with a keyring",
      `Put the folder \`keys\` of the vault back from a backup, and find out who removed it. If the vault is a new one without keys, remove ${mark}.`,
    );
  if (keys === undefined) return undefined;
  const wasEncrypted = known !== undefined && saysEncrypted(known);
  if (wasEncrypted && !keys.isEncrypting)
    throw new KeyringError(
      `the newest keyring of the vault ${store.url} does not encrypt, and this host has used it encrypted`,
      "an encrypted vault",
      `Put the newest file of the folder \`keys\` of the vault back from a backup, and find out who removed it. If the vault is another one that is not encrypted, remove ${mark}.`,
    );
  if (known === undefined || keys.isEncrypting !== wasEncrypted)
    await writeDurably(stateFolder, mark, `${JSON.stringify({ vault: identity.id, encrypts: keys.isEncrypting })}\n`);
  return keys;
}

/** A mark that cannot be read hides what it said: it is taken for that of an encrypted vault. */
function saysEncrypted(mark: string): boolean {
  try {
    return v.parse(markSchema, JSON.parse(mark)).encrypts;
  } catch {
    return true;
  }
}

export const noKeysWarning =
  "the vault has no keys: who can write into its folder can forge records. Stop all hosts in order, run `stead vault rekey`, and start them";

async function writeDurably(folder: string, path: string, text: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const file = await open(`${path}.new`, "w");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  const parent = await open(folder, "r");
  try {
    await parent.sync();
  } finally {
    await parent.close();
  }
}
