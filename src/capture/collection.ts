/**
 * The steps of a collection, for all databases of a service: begin the next pins, (a cut is read), read and prove all
 * frames up to it, accept them, release the old pins. This order makes it lossless; pin.ts has the argument.
 */
import { type DatabaseChanges, databaseChanges } from "./batch.ts";
import type { Cut } from "./consistent-cut.ts";
import { naming } from "./fault.ts";
import { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import type { Changes, Reading, TrackedDatabase } from "./tracked-database.ts";
import { samePosition } from "./wal-index.ts";

/**
 * Begins second pins where there is something to capture. `forSnapshot`: also a read transaction that a snapshot keeps.
 * If one cannot begin (the file is being deleted or replaced, the index repaired, no descriptor is left), only this
 * snapshot is affected: it reports that it leaves something out.
 */
export function beginPins(databases: Iterable<TrackedDatabase>, nowMs: number, forSnapshot: boolean): void {
  for (const database of databases) naming(database.name, () => beginPin(database, nowMs, forSnapshot));
}

function beginPin(database: TrackedDatabase, nowMs: number, forSnapshot: boolean): void {
  const { pin, files, captured } = database;
  if (captured !== undefined && database.holds === 0 && !pin.hasNext) {
    const index = database.look();
    const isAhead = index === undefined || !samePosition(captured, index);
    if ((isAhead || files.areWritersLocked) && database.mayMovePin(nowMs)) pin.begin(nowMs, index);
  }
  if (!forSnapshot) return;
  const reader = files.snapshotReader();
  if (!reader.isReading) reader.begin();
}

/** Everything between the captured state and the cut, proved (unless it is to be streamed) but not accepted. */
export async function readCut(cut: Cut, reading: Reading): Promise<Changes[]> {
  const budget = new EventLoopBudget();
  const changes: Changes[] = [];
  for (const [database, index] of cut) {
    const change = await naming(database.name, () => database.read(index, reading, budget));
    if (change !== undefined) changes.push(change);
  }
  return changes;
}

/** Makes changes the captured state (streamed ones once they are read), and releases the old pins. */
export function acceptChanges(databases: Iterable<TrackedDatabase>, changes: readonly Changes[]): DatabaseChanges[] {
  const deltas: DatabaseChanges[] = [];
  for (const change of changes) {
    const { database, contents, frames, unread, staged } = change;
    const isFirst = !database.isKnown;
    const isOther = database.pageCount !== change.pageCount;
    if (unread === undefined) database.accept(change);
    // The batch reads through the held pin: it must not move yet.
    if (unread !== undefined || staged !== undefined || (contents === undefined && frames.size > 0))
      database.pin.cancel();
    if (unread !== undefined || frames.size > 0 || isFirst || isOther || staged !== undefined)
      deltas.push(databaseChanges(change));
  }
  for (const { pin } of databases) if (pin.hasNext) pin.advance();
  return deltas;
}

/** Of all databases together. */
export function backlogBytes(cut: Cut): number {
  let bytes = 0;
  for (const [database, index] of cut) bytes += database.backlogBytes(index);
  return bytes;
}
