/**
 * What is in a flush beside the databases: files of the service (files/file-capture.ts). It is looked at after the cut,
 * and asks for a later one if it has lost something that a row of this cut may refer to.
 */
import { type DatabaseChanges, overlay } from "./batch.ts";

export interface Beside {
  /** What happens from here on may be later than the cut that follows. Sync. */
  begin(): void;
  /** "again": the cut is too early. `isDatabaseAhead`: a database has moved since the cut. */
  settle(isDatabaseAhead: () => boolean): Promise<"settled" | "again">;
}

/** Cuts for one flush. */
const cutsMax = 64;

/** Until both show one instant, takes later cuts into the deltas. `collect`: what was committed since. */
export async function settle(
  beside: Beside,
  deltas: DatabaseChanges[],
  databases: { isAhead(): boolean },
  collect: () => Promise<DatabaseChanges[] | undefined>,
): Promise<void> {
  for (let cut = 1; (await beside.settle(() => databases.isAhead())) === "again" && cut < cutsMax; cut++) {
    // What is read later through a pin cannot be combined with what follows.
    if (deltas.some(({ holds }) => holds !== undefined)) return;
    beside.begin();
    const later = await collect();
    if (later === undefined) return;
    overlay(deltas, later);
  }
}
