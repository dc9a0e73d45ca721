/** Whether a database that is no longer at its name is gone, and what remains of its log. */
import type { CaptureError } from "./capture-error.ts";
import type { DatabaseFiles } from "./database-files.ts";
import type { FoundFile } from "./discovery.ts";
import { processesWithOpen } from "./open-files.ts";
import { moved, replaced, writtenAfterDeletion } from "./refusals.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import { messageOf } from "../runtime/operator-error.ts";

/** Returns undefined if its log was checkpointed into it, and is empty. */
export function whyUnfolded(files: DatabaseFiles): string | undefined {
  try {
    return files.fold() ? undefined : "another process still reads it";
  } catch (error) {
    return messageOf(error);
  }
}

/**
 * Returns undefined if it is a deletion. Throws `CaptureError` if something was committed to an already replaced file.
 */
export function whyNotGone(database: TrackedDatabase, file: FoundFile | undefined): CaptureError | undefined {
  const { name, files } = database;
  if (!files.hasName) {
    // Its file has no name any more, and while it is held a process may continue: commits there are lost, captured or
    // not.
    if (database.deletion?.wasWrittenSince() === true) throw writtenAfterDeletion(name, files.users());
    if (database.deletion === undefined) database.retire();
    if (file === undefined) return undefined;
  }
  // Both are checked: a lock is the rule, but an open file that was not read yet has none. Unknown counts as open.
  const isClosed = files.users()?.length === 0 && processesWithOpen(files.identity).length === 0;
  if (isClosed) return undefined;
  return file === undefined ? moved(name) : replaced(name);
}
