/** Begins to capture a database that exists: waits for its locks, switches it to WAL, takes the first pin. */
import { fstatSync, statSync } from "node:fs";
import { CaptureError } from "./capture-error.ts";
import { DatabaseFiles } from "./database-files.ts";
import type { FilePath } from "./data-path.ts";
import type { FoundFile } from "./discovery.ts";
import { identityOfFd } from "./file-identity.ts";
import { FileLocks } from "./file-locks.ts";
import { otherNameOf } from "./hard-links.ts";
import { elsewhereMsMax, type SourceLimits } from "./limits.ts";
import { linked, usedElsewhere } from "./refusals.ts";
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
  const startedMs = clock.now();
  for (;;) {
    const outcome = tryAttach(what);
    if (outcome === "attached") return true;
    if (!exists(file.path)) return false;
    const waitedMs = clock.now() - startedMs;
    if (outcome !== "locked" && waitedMs > elsewhereMsMax) throw usedElsewhere(name, outcome.elsewhere);
    if (waitedMs > limits.attachWaitMsMax) throw staysLocked(name, limits.attachWaitMsMax);
    await clock.sleep(retryMs);
  }
}

/** `elsewhere`: processes that have the database open with another log than the one beside its name. */
type Outcome = "attached" | "locked" | { readonly elsewhere: readonly number[] };

function tryAttach({ name, file, onAttached, ...options }: Attachment): Outcome {
  let files: DatabaseFiles | undefined;
  let outcome: Outcome = "locked";
  try {
    files = DatabaseFiles.tryOpen(name, file.path);
    if (files === undefined) return "locked";
    if (fstatSync(files.dbFd).nlink > 1) throw linked(name, otherNameOf(files));
    const database = new TrackedDatabase(name, files, options);
    const elsewhere = FileLocks.now()?.usersElsewhere(files.identity, identityOfFd(files.shmFd)) ?? [];
    if (elsewhere.length > 0) outcome = { elsewhere };
    else if (database.pin.begin(options.clock.now())) {
      database.pin.advance();
      onAttached(database);
      return "attached";
    }
  } catch (error) {
    files?.close(true);
    if (!exists(file.path)) return "locked";
    throw error;
  }
  files.close(true);
  return outcome;
}

const exists = (path: FilePath): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

function staysLocked(name: string, waitedMs: number): CaptureError {
  return new CaptureError({
    kind: "exclusive",
    database: name,
    found: `a database that stayed locked for ${waitedMs} ms`,
    accepted: "locking_mode=NORMAL, and transactions that end",
    advice: "Remove PRAGMA locking_mode=EXCLUSIVE from the application, or let it open the database with journal_mode=WAL at once.",
  });
}
