/**
 * Work under the write lock of one database: commits since the last cut are captured, again all databases at one
 * instant, and the log is sealed. It takes a moment (seal.ts), or nothing is done.
 *
 * A seal is not needed for committed data, so a transient error (fault.ts) postpones it: the next collection meets the
 * error too, and holds responses. How a write could be lost here: whatever is accepted must be returned, so nothing
 * behind `acceptChanges` throws such an error.
 */
import type { DatabaseChanges } from "./batch.ts";
import { acceptChanges, backlogBytes, beginPins, readCut } from "./collection.ts";
import { takeCutNow } from "./consistent-cut.ts";
import type { DatabaseSet } from "./database-set.ts";
import { type Housekeeping, lockForSeal, putOff, seal } from "./seal.ts";
import type { Changes, TrackedDatabase } from "./tracked-database.ts";

/**
 * Requires that every database has been captured before. Returns what it captured, in memory; it follows the last
 * collection.
 */
export async function captureAndSeal(
  database: TrackedDatabase,
  databases: DatabaseSet,
  house: Housekeeping,
): Promise<DatabaseChanges[]> {
  if (!lockForSeal(database, house)) return [];
  try {
    const changes = await readAll(databases, house).catch((error: unknown) => putOff(database, house, error));
    if (changes === undefined) {
      for (const { pin } of databases.active) pin.cancel();
      return [];
    }
    const deltas = acceptChanges(databases.active, changes);
    seal(database, house);
    return deltas;
  } finally {
    database.files.unlockWriters();
  }
}

/** Undefined: something moves, or it is too much to read under a lock. */
async function readAll(databases: DatabaseSet, { limits, clock }: Housekeeping): Promise<Changes[] | undefined> {
  const { active, commits } = databases;
  active.hear();
  const { generation } = active;
  beginPins(active, clock.now(), false);
  const cut = takeCutNow([...active], commits, () => databases.isUndisturbed(generation));
  return cut === undefined || backlogBytes(cut) > limits.sealBacklogBytesMax ? undefined : readCut(cut, "keep");
}
