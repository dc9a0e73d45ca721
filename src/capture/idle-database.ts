/**
 * Handles a database that has been idle for long. If no other process has it open it is closed, and only the knowledge
 * of its file remains; otherwise it keeps three descriptors (database-files.ts says why it has more before).
 *
 * For three descriptors all connections are closed and one is opened, so for a fraction of a millisecond there is no
 * pin, and this process has no lock. Changes made meanwhile show afterwards: a commit by the index, any other write by
 * the stamps of the two files, all checked once there is a pin again. If nothing moved, it continues as before. If
 * something did, it is treated as a closed and touched database, whose changes are found by comparing pages
 * (base-reader.ts), and responses are held for that.
 */
import { fstatSync } from "node:fs";
import type { Clock } from "../runtime/clock.ts";
import { stampOf } from "./base-reader.ts";
import { DormantDatabase } from "./dormant-database.ts";
import { type Housekeeping, startBackfill } from "./seal.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

/**
 * `closed`: by other processes and by this one. `touched`: a process used it while it was being reopened, and it is
 * closed. `open`: for now.
 */
export type Idle =
  | { readonly kind: "open" }
  | { readonly kind: "closed" | "touched"; readonly dormant: DormantDatabase };

const open: Idle = { kind: "open" };

/** Requires that nothing happens in it. Sync; well below a millisecond. */
export function settleIdle(database: TrackedDatabase, house: Housekeeping): Idle {
  const { files, pin, watch } = database;
  if (!watch.isUnused && !files.hasSpareDescriptors) return open;
  const dormant = closable(database, house);
  if (dormant === undefined) return open;
  if (!watch.isUnused) return reopened(database, house.clock) ? open : { kind: "touched", dormant };
  pin.release();
  files.close(false);
  return { kind: "closed", dormant };
}

/**
 * The last connection removes the log, which must be in the file before: the backfill comes first, and closing waits
 * for the file's stamp to settle. Undefined: it stays open for now. A process that opens it at this moment shows
 * afterwards by its files or its stamp.
 */
function closable(database: TrackedDatabase, house: Housekeeping): DormantDatabase | undefined {
  const { name, files } = database;
  if (
    database.captured === undefined ||
    database.holds > 0 ||
    database.backfilling !== undefined ||
    files.isSnapshotReading ||
    files.areWritersLocked
  )
    return undefined;
  const index = database.look();
  if (index === undefined || database.isAhead()) return undefined;
  if (index.nBackfill < index.mxFrame) {
    // If an application's reader prevents it, the next try comes after the same time again.
    if (startBackfill(database, index, house) === "incomplete") database.disturb();
    files.rest();
    return undefined;
  }
  const dormant = DormantDatabase.of(name, files.path, database.pageHashes, house.clock.wallTime());
  return files.companions() === "same" ? dormant : undefined;
}

/** Returns false if something happened in it meanwhile, or it cannot be opened now; it is then closed. */
function reopened(database: TrackedDatabase, clock: Clock): boolean {
  const { files, pin, watch, captured } = database;
  const before = stampsOf(database);
  pin.release();
  if (!files.reopen()) return false;
  if (pin.begin(clock.now())) {
    pin.advance();
    // In this order: commits from here on are read through the pin.
    if (captured !== undefined && !database.isAhead() && stampsOf(database) === before) {
      watch.reopened(captured);
      return true;
    }
    pin.release();
  }
  files.close(false);
  return false;
}

/** Stamp of the log without its ctime, which opening it may change. */
function stampsOf({ files }: TrackedDatabase): string {
  const log = fstatSync(files.walFd);
  return `${stampOf(fstatSync(files.dbFd))} ${log.size} ${log.mtimeMs}`;
}
