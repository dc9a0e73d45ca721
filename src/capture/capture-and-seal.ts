/**
 * What happens under the write lock of one database: what was committed since the last cut is captured, all databases at one instant
 * again, and the log is sealed. It is a moment (seal.ts), or nothing is done.
 */
import type { DatabaseChanges } from "./batch.ts";
import { acceptChanges, backlogBytes, beginPins, readCut } from "./collection.ts";
import { cutNow } from "./consistent-cut.ts";
import type { DatabaseSet } from "./database-set.ts";
import { type Housekeeping, lockForSeal, seal } from "./seal.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

/** Every database has been captured before. Returns what it captured, in memory; it follows the last collection. */
export async function captureAndSeal(database: TrackedDatabase, databases: DatabaseSet, house: Housekeeping): Promise<DatabaseChanges[]> {
  const { limits, clock } = house;
  if (!lockForSeal(database, limits)) return [];
  try {
    const { active } = databases;
    active.hear();
    const { generation } = active;
    beginPins(active, clock.now(), false);
    const cut = cutNow([...active], databases.commits, () => databases.isUndisturbed(generation));
    if (cut === undefined || backlogBytes(cut) > limits.sealBacklogBytesMax) {
      for (const { pin } of active) pin.cancel();
      return [];
    }
    const deltas = acceptChanges(active, await readCut(cut, true));
    seal(database, house);
    return deltas;
  } finally {
    database.files.unlockWriters();
  }
}
