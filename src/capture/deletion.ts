/** A captured database whose file was deleted: earlier commits belong to nothing any more, later ones are a fault. */
import { auditMs } from "./limits.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { WalPosition } from "./wal-reader.ts";

export class Deletion {
  readonly #database: TrackedDatabase;
  /** Position of the log when the file was found deleted. */
  readonly #at: WalPosition | "written" | undefined;
  #useLookAtMs = 0;

  /**
   * Stamps within one timer tick do not show the order: uncaptured data then counts as committed after the deletion, if
   * a process is there to do so.
   */
  constructor(database: TrackedDatabase) {
    this.#database = database;
    const { deleted, written } = database.files.deletedAndWritten();
    const isUsed = (database.files.users()?.length ?? 0) > 0;
    this.#at = isUsed && database.isAhead() && written >= deleted ? "written" : (database.look() ?? database.captured);
  }

  /** True if something was committed after the file was deleted. Sync, half a microsecond. */
  wasWrittenSince(): boolean {
    const at = this.#at;
    return at === "written" || (at !== undefined && !this.#database.index.isAt(at.salt1, at.salt2, at.mxFrame));
  }

  /** True if another process still has it open. Checked at intervals. */
  isInUse(nowMs: number): boolean {
    if (nowMs < this.#useLookAtMs) return true;
    this.#useLookAtMs = nowMs + auditMs;
    return (this.#database.files.users()?.length ?? 0) > 0;
  }
}
