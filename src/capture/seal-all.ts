/** Seals the databases of a collection that need it; what that captures joins the collection. */
import { type DatabaseChanges, overlay } from "./batch.ts";
import { captureAndSeal } from "./capture-and-seal.ts";
import type { DatabaseSet } from "./database-set.ts";
import { sealRoundsMax } from "./limits.ts";
import { type Housekeeping, prepareSeal } from "./seal.ts";

/**
 * Seals every database whose log is too long and whose writers can be caught up with. `collect`: what was committed
 * since.
 */
export async function sealAll(
  deltas: DatabaseChanges[],
  databases: DatabaseSet,
  house: Housekeeping,
  collect: () => Promise<DatabaseChanges[] | undefined>,
): Promise<void> {
  for (let round = 1; round <= sealRoundsMax; round++) {
    // Nothing is read through a pin later, and everything that exists takes part in the cut.
    if (deltas.some(({ holds }) => holds !== undefined) || databases.uncaptured.size > 0) return;
    let isBehind = false;
    for (const database of databases.active) {
      const state = prepareSeal(database, house);
      if (state === "ready") overlay(deltas, await captureAndSeal(database, databases, house));
      isBehind ||= state === "behind";
    }
    if (!isBehind) return;
    // A stream cannot be combined with what is already collected.
    const later = await collect();
    if (later === undefined) return;
    overlay(deltas, later);
  }
}
