/** Begins to capture a database that exists: waits for its locks, switches it to WAL, takes the first pin. */
import { fstatSync, statSync } from "node:fs";
import { CaptureError } from "./capture-error.ts";
import { DatabaseFiles } from "./database-files.ts";
import { linked } from "./file-watch.ts";
import type { FoundFile } from "./discovery.ts";
import type { SourceLimits } from "./limits.ts";
import { TrackedDatabase, type TrackingOptions } from "./tracked-database.ts";

const retryMs = 2;

export interface Attachment extends TrackingOptions {
  readonly name: string;
  readonly file: FoundFile;
  readonly limits: SourceLimits;
  /** Called in the same turn in which the files were opened, so that nobody opens them again. */
  readonly onAttached: (database: TrackedDatabase) => void;
}

/** False when the file is gone meanwhile. Throws `CaptureError` when it stays locked or cannot be captured. */
export async function attach(what: Attachment): Promise<boolean> {
  const { name, file, clock, limits } = what;
  const giveUpMs = clock.now() + limits.attachWaitMsMax;
  for (;;) {
    if (tryAttach(what)) return true;
    if (!exists(file.path)) return false;
    if (clock.now() > giveUpMs) throw staysLocked(name, limits.attachWaitMsMax);
    await clock.sleep(retryMs);
  }
}

function tryAttach({ name, file, onAttached, ...options }: Attachment): boolean {
  let files: DatabaseFiles | undefined;
  try {
    files = DatabaseFiles.tryOpen(name, file.path);
    if (files === undefined) return false;
    if (fstatSync(files.dbFd).nlink > 1) throw linked(name);
    const database = new TrackedDatabase(name, files, options);
    if (database.pin.begin(options.clock.now())) {
      database.pin.advance();
      onAttached(database);
      return true;
    }
  } catch (error) {
    files?.close(true);
    if (!exists(file.path)) return false;
    throw error;
  }
  files.close(true);
  return false;
}

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

function staysLocked(name: string, waitedMs: number): CaptureError {
  return new CaptureError({
    kind: "exclusive",
    database: name,
    found: `a database that stayed locked for ${waitedMs} ms`,
    accepted: "locking_mode=NORMAL, and transactions that end",
    advice: "Remove PRAGMA locking_mode=EXCLUSIVE from the application, or let it open the database with journal_mode=WAL at once.",
  });
}
