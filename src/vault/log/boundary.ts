/**
 * How far retention may have deleted the log (R4): the largest position under `boundary/`.
 *
 * The store can only create, so each move of the boundary is a new, empty-handed entry, written before the first deletion
 * that it allows. Old entries go, but not the newest few: a listing is not a snapshot on every store, and one that began
 * before the newest entry and ended after the removal of all others would find none.
 */
import { boundaryKey, boundaryPrefix, positionOfKey } from "../keys.ts";
import { boundaryEntriesKept } from "../limits.ts";
import type { Position } from "../record.ts";
import type { Store } from "../store/store.ts";

/** 0 when nothing was ever deleted. Throws StoreError. */
export async function readBoundary(store: Store): Promise<Position> {
  return (await boundaryEntries(store)).at(-1) ?? 0;
}

/** Moves the boundary up to `position`, durable when it resolves; never down. Throws StoreError. */
export async function raiseBoundary(store: Store, position: Position): Promise<void> {
  const entries = await boundaryEntries(store);
  if ((entries.at(-1) ?? 0) >= position) return;
  await store.putIfAbsent(boundaryKey(position), Buffer.from(`${position}\n`));
  for (const old of entries.slice(0, -boundaryEntriesKept)) await store.delete(boundaryKey(old));
}

async function boundaryEntries(store: Store): Promise<Position[]> {
  const keys = await store.list(boundaryPrefix);
  return keys.map((key) => positionOfKey(boundaryPrefix, key)).filter((position) => position !== undefined);
}
