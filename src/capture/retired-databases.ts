/**
 * Databases that are no longer captured, and stay open as long as a snapshot or a batch reads them, or a process may
 * still write to them.
 */
import type { Clock } from "../runtime/clock.ts";
import { holdersOf } from "./open-files.ts";
import type { OpenFiles } from "./open-identities.ts";
import { EventLoopBudget } from "../runtime/event-loop-budget.ts";
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

  /** True if something was committed to a deleted one, or may have been: `examine` decides. Sync. */
  isWritten(): boolean {
    return this.#databases.some(
      ({ deletion }) => deletion?.wasWrittenSince() === true || deletion?.isSuspicious() === true,
    );
  }

  /** Throws `CaptureError` if something was committed to a deleted one. Sync while nothing is to be examined. */
  async examine(): Promise<void> {
    if (this.#databases.length === 0) return;
    const budget = new EventLoopBudget();
    await this.#search(budget);
    for (const { deletion } of this.#databases) await deletion?.examine(budget);
  }

  /** One search among the open files of all processes, which takes milliseconds, for all that were deleted together. */
  async #search(budget: EventLoopBudget): Promise<void> {
    const deletions = this.#databases.flatMap(({ deletion }) => deletion ?? []);
    const files = deletions.flatMap((deletion) => [...deletion.unsearched]);
    if (files.length === 0) return;
    const holders = await holdersOf(files, budget);
    for (const deletion of deletions) deletion.noteHolders(holders);
  }

  /** Closes those that are not read any more. */
  close(): void {
    this.#databases = this.#databases.filter((database) => {
      const isUsed = database.deletion?.isInUse(this.#clock.now()) === true;
      if (database.holds > 0 || database.backfilling !== undefined || database.files.isSnapshotReading || isUsed)
        return true;
      database.watch.close();
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
