/**
 * What happens under the write lock of one database: what was committed since the last cut is captured, all databases
 * at one instant again, and the log is sealed. It is a moment (seal.ts), or nothing is done.
 *
 * A seal is not needed for what was committed, so an error that may pass (fault.ts) puts it off: the next collection
 * meets it too, and holds answers. One could lose a write here: what is accepted must be returned, so nothing behind
 * `acceptChanges` throws such an error.
 */
import type { DatabaseChanges } from "./batch.ts";
import { acceptChanges, backlogBytes, beginPins, readCut } from "./collection.ts";
import { cutNow } from "./consistent-cut.ts";
import type { DatabaseSet } from "./database-set.ts";
import { type Housekeeping, lockForSeal, putOff, seal } from "./seal.ts";
import type { Changes, TrackedDatabase } from "./tracked-database.ts";

/** Every database has been captured before. Returns what it captured, in memory; it follows the last collection. */
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

/** Undefined: something moves, or it is too much to be read under a lock. */
async function readAll(databases: DatabaseSet, { limits, clock }: Housekeeping): Promise<Changes[] | undefined> {
  const { active, commits } = databases;
  active.hear();
  const { generation } = active;
  beginPins(active, clock.now(), false);
  const cut = cutNow([...active], commits, () => databases.isUndisturbed(generation));
  return cut === undefined || backlogBytes(cut) > limits.sealBacklogBytesMax ? undefined : readCut(cut, "keep");
}
