/**
 * Databases that are no longer captured, and stay open as long as a snapshot or a batch reads them, or a process may
 * still write to them.
 */
import type { Clock } from "../runtime/clock.ts";
import type { OpenFiles } from "./open-identities.ts";
import { writtenAfterDeletion } from "./refusals.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

export class RetiredDatabases {
  readonly #clock: Clock;
  readonly #open: OpenFiles;
  #databases: TrackedDatabase[] = [];

  constructor(clock: Clock, open: OpenFiles) {
    this.#clock = clock;
    this.#open = open;
  }

  [Symbol.iterator](): IterableIterator<TrackedDatabase> {
    return this.#databases.values();
  }

  add(database: TrackedDatabase): void {
    this.#databases.push(database);
  }

  /** True if something was committed to a deleted one. Sync. */
  isWritten(): boolean {
    return this.#databases.some(({ deletion }) => deletion?.wasWrittenSince() === true);
  }

  /** Throws `CaptureError` if something was committed to a deleted one. */
  assertUnwritten(): void {
    for (const { name, files, deletion } of this.#databases)
      if (deletion?.wasWrittenSince() === true) throw writtenAfterDeletion(name, files.users());
  }

  /** Closes those that are not read any more. */
  close(): void {
    this.#databases = this.#databases.filter((database) => {
      const isUsed = database.deletion?.isInUse(this.#clock.now()) === true;
      if (database.holds > 0 || database.backfilling !== undefined || database.files.isSnapshotReading || isUsed)
        return true;
      database.pin.release();
      database.files.close(false);
      this.#open.remove(database);
      return false;
    });
  }

  forget(): void {
    this.#databases = [];
  }
}
