/** What remains of the log of a database that is gone. */
import type { DatabaseFiles } from "./database-files.ts";
import { messageOf } from "../runtime/operator-error.ts";

/** Returns undefined if its log was checkpointed into it, and is empty. */
export function whyUnfolded(files: DatabaseFiles): string | undefined {
  try {
    return files.fold() ? undefined : "another process still reads it";
  } catch (error) {
    return messageOf(error);
  }
}
