/** Whether a database that is not at its name any more is gone, and what is left of its log. */
import type { CaptureError } from "./capture-error.ts";
import type { DatabaseFiles } from "./database-files.ts";
import type { FoundFile } from "./discovery.ts";
import { processesWithOpen } from "./open-files.ts";
import { moved, replaced, writtenAfterDeletion } from "./refusals.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import { messageOf } from "../runtime/operator-error.ts";

/** Undefined: its log was written into it, and is empty. */
export function whyUnfolded(files: DatabaseFiles): string | undefined {
  try {
    return files.fold() ? undefined : "another process still reads it";
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Undefined: it is a deletion. Throws `CaptureError` when something was committed into a file that had been replaced
 * before.
 */
export function whyNotGone(database: TrackedDatabase, file: FoundFile | undefined): CaptureError | undefined {
  const { name, files } = database;
  if (!files.hasName) {
    // Its file is nowhere any more, and while it is held somebody may go on: what is committed there is lost, captured
    // or not.
    if (database.deletion?.wasWrittenSince() === true) throw writtenAfterDeletion(name, files.users());
    if (database.deletion === undefined) database.retire();
    if (file === undefined) return undefined;
  }
  // Both are asked: a lock is the rule, an open file that was not read yet has none. Unknown counts as open.
  const isClosed = files.users()?.length === 0 && processesWithOpen(files.identity).length === 0;
  if (isClosed) return undefined;
  return file === undefined ? moved(name) : replaced(name);
}
