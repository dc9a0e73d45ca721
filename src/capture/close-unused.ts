/** Closes a database that nobody uses: what is left of it is what is known of its file. */
import { DormantDatabase } from "./dormant-database.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

/**
 * Nobody else had it open a moment ago, and nothing happens in it. The last connection takes the log away, which has to be in the file before: this is
 * done first, and the closing waits for its stamp to settle. Undefined: it stays open, for now. Whoever opens it at this
 * moment has its files or its stamp show it afterwards. `wallMs`: since 1970.
 */
export function closeUnused(database: TrackedDatabase, wallMs: number): DormantDatabase | undefined {
  const { name, files, pin } = database;
  if (database.captured === undefined || !database.watch.isUnused || database.holds > 0 || database.backfilling !== undefined || files.snapshotReading || files.writersLocked) return undefined;
  const index = database.look();
  if (index === undefined || database.isAhead()) return undefined;
  if (index.nBackfill < index.mxFrame) {
    files.backfill();
    files.rest();
    return undefined;
  }
  const dormant = DormantDatabase.of(name, files.path, database.hashes(), wallMs);
  if (dormant === undefined || files.companions() !== "same") return undefined;
  pin.end();
  files.close(false);
  return dormant;
}
