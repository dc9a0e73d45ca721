/** Begins to capture an existing database: switches it to WAL, takes the first pin. */
import { fstatSync, statSync } from "node:fs";
import { DatabaseFiles } from "./database-files.ts";
import type { FilePath } from "./data-path.ts";
import type { FoundFile } from "./discovery.ts";
import { FileLocks, looksForAbsence } from "./file-locks.ts";
import { usersElsewhere } from "./file-users.ts";
import { otherNameOf } from "./hard-links.ts";
import { linked } from "./refusals.ts";
import { TrackedDatabase, type TrackingOptions } from "./tracked-database.ts";
import type { WriteLocks } from "./write-locks.ts";

export interface Attachment extends TrackingOptions {
  readonly name: string;
  readonly file: FoundFile;
  readonly writeLocks: WriteLocks;
  /**
   * The application has not started: leftovers of its predecessors are gone, and the first audit finds processes that
   * have the database open elsewhere.
   */
  readonly isAtStart: boolean;
  /** Called in the turn in which the files were opened, so that they are not opened twice. */
  readonly onAttached: (database: TrackedDatabase) => void;
}

/** `elsewhere`: processes that have the database open with a log other than the one beside its name. */
export type AttachOutcome = "attached" | "locked" | "gone" | { readonly elsewhere: readonly number[] };

/** Tries once, without waiting. Throws `CaptureError` if the file cannot be captured, and SQLite's errors. */
export function attach({ name, file, writeLocks, isAtStart, onAttached, ...options }: Attachment): AttachOutcome {
  let files: DatabaseFiles | undefined;
  let outcome: AttachOutcome = "locked";
  try {
    const examined = { identity: file.identity, isUnchanged: options.whole?.isUnchanged };
    files = DatabaseFiles.tryOpen(name, file.path, examined, writeLocks);
    if (files === undefined) return "locked";
    if (fstatSync(files.dbFd).nlink > 1) throw linked(name, otherNameOf(files));
    if (files.switched !== undefined) options.whole?.acceptChange(files.switched);
    const database = new TrackedDatabase(name, files, options);
    const elsewhere = isAtStart ? [] : usersElsewhere(files, () => FileLocks.now(looksForAbsence));
    if (elsewhere.length > 0) outcome = { elsewhere };
    else if (database.pin.begin(options.clock.now())) {
      database.pin.advance();
      onAttached(database);
      return "attached";
    }
  } catch (error) {
    files?.close(true);
    if (!exists(file.path)) return "gone";
    throw error;
  }
  files.close(true);
  return outcome;
}

const exists = (path: FilePath): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;
