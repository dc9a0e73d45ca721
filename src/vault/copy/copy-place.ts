/**
 * The place of a copy of a vault: which vault it is of, and from when on it is one.
 *
 *     copy.json        put first: the place is for a copy of this vault
 *     identity.json    put last, when a checkpoint is whole: version 3, a copy. Before it nothing is taken for a vault
 *
 * Both follow from the vault's identity alone, so any two writers put the same bytes.
 */
import { CopyPlaceError } from "../errors.ts";
import { checkpointPrefix, chunkPrefix, copyMarkerKey, exclusionPrefix, identityKey, keyringPrefix } from "../keys.ts";
import { smallObjectBytesMax } from "../limits.ts";
import { StoreLog } from "../log/store-log.ts";
import { copyIdentityOf, readIdentity, type VaultIdentity } from "../store/identity.ts";
import type { Store } from "../store/store.ts";

/** What a copy takes over from its vault's identity. */
export type CopiedIdentity = Pick<VaultIdentity, "service" | "id" | "createdMs">;

const markerOf = ({ service, id }: CopiedIdentity): Buffer =>
  Buffer.from(`${JSON.stringify({ format: "stead-vault-copy", version: 1, service, id }, null, 2)}\n`);

/**
 * Makes sure that the place is for a copy of this vault, and returns whether a copy is there already. Throws
 * CopyPlaceError, StoreError.
 */
export async function beginCopy(copy: Store, of: CopiedIdentity): Promise<boolean> {
  const marker = await copy.get(copyMarkerKey, smallObjectBytesMax);
  if (marker === undefined) {
    await assertEmpty(copy, of.service);
    await copy.putIfAbsent(copyMarkerKey, markerOf(of));
  }
  const found = marker ?? (await copy.get(copyMarkerKey, smallObjectBytesMax));
  if (found === undefined || Buffer.compare(found, markerOf(of)) !== 0)
    throw new CopyPlaceError(copy.url, "the copy of another vault", `a copy of the vault ${of.id}, or nothing`);
  const identity = await readIdentity(copy);
  if (identity !== undefined && identity.isCopy !== true)
    throw new CopyPlaceError(copy.url, "a vault that is no copy", `a copy of the vault ${of.id}, or nothing`);
  return identity !== undefined;
}

/** From now on the place is a copy that can be verified and restored. */
export async function completeCopy(copy: Store, of: CopiedIdentity): Promise<void> {
  await copy.putIfAbsent(identityKey, copyIdentityOf({ ...of }));
}

async function assertEmpty(copy: Store, service: string): Promise<void> {
  let isUsed = (await copy.get(identityKey, smallObjectBytesMax)) !== undefined;
  isUsed ||= !(await new StoreLog(copy, service).isEmpty());
  for (const prefix of [checkpointPrefix, chunkPrefix, keyringPrefix, exclusionPrefix])
    isUsed ||= (await copy.list(prefix, { limit: 1 })).length > 0;
  if (isUsed) throw new CopyPlaceError(copy.url, "objects of a vault", "an empty place, or the copy of this vault");
}
