/**
 * What is done with a database in which nothing has happened for long: when no other process has it open it is closed,
 * and what is left of it is what is known of its file; when one has, it keeps three descriptors (database-files.ts says
 * why more are kept before).
 *
 * For three descriptors all connections are closed and one is opened, so for a fraction of a millisecond there is no
 * pin, and this process has no lock. What is done to the database meanwhile shows afterwards: a commit by the index,
 * and whatever else was written by the stamps of the two files, all looked at when there is a pin again. Nothing moved:
 * it goes on as if nothing had been done. Something did: it is one that was closed and touched, which is found by
 * comparing pages (base-reader.ts), and answers wait for that.
 */
import { fstatSync } from "node:fs";
import type { Clock } from "../runtime/clock.ts";
import { stampOf } from "./base-reader.ts";
import { DormantDatabase } from "./dormant-database.ts";
import { type Housekeeping, startBackfill } from "./seal.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

/**
 * `closed`: by other processes and by this one. `touched`: somebody used it while it was being opened again, and it is
 * closed. `open`: for now.
 */
export type Idle =
  | { readonly kind: "open" }
  | { readonly kind: "closed" | "touched"; readonly dormant: DormantDatabase };

const open: Idle = { kind: "open" };

/** Nothing happens in it. Sync; well below a millisecond. */
export function settleIdle(database: TrackedDatabase, house: Housekeeping): Idle {
  const { files, pin, watch } = database;
  if (!watch.isUnused && !files.hasSpareDescriptors) return open;
  const dormant = closable(database, house);
  if (dormant === undefined) return open;
  if (!watch.isUnused) return reopened(database, house.clock) ? open : { kind: "touched", dormant };
  pin.end();
  files.close(false);
  return { kind: "closed", dormant };
}

/**
 * The last connection takes the log away, which has to be in the file before: this is done first, and the closing waits
 * for its stamp to settle. Undefined: it stays open, for now. Who opens it at this moment has its files or its stamp
 * show it afterwards.
 */
function closable(database: TrackedDatabase, house: Housekeeping): DormantDatabase | undefined {
  const { name, files } = database;
  if (
    database.captured === undefined ||
    database.holds > 0 ||
    database.backfilling !== undefined ||
    files.snapshotReading ||
    files.writersLocked
  )
    return undefined;
  const index = database.look();
  if (index === undefined || database.isAhead()) return undefined;
  if (index.nBackfill < index.mxFrame) {
    // When an application's reader prevents it, it is tried again after as long a time as this took.
    if (startBackfill(database, index, house) === "incomplete") database.disturb();
    files.rest();
    return undefined;
  }
  const dormant = DormantDatabase.of(name, files.path, database.pageHashes, house.clock.wallTime());
  return files.companions() === "same" ? dormant : undefined;
}

/** False: something happened in it meanwhile, or it cannot be opened now; it is closed. */
function reopened(database: TrackedDatabase, clock: Clock): boolean {
  const { files, pin, watch, captured } = database;
  const before = stampsOf(database);
  pin.end();
  if (!files.reopen()) return false;
  if (pin.begin(clock.now())) {
    pin.advance();
    // In this order: what is committed from here on is read through the pin.
    if (captured !== undefined && !database.isAhead() && stampsOf(database) === before) {
      watch.reopened(captured);
      return true;
    }
    pin.end();
  }
  files.close(false);
  return false;
}

/** Of the log without its ctime, which opening it may change. */
function stampsOf({ files }: TrackedDatabase): string {
  const log = fstatSync(files.walFd);
  return `${stampOf(fstatSync(files.dbFd))} ${log.size} ${log.mtimeMs}`;
}
