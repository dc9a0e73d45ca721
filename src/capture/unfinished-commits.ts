/**
 * Commits that lie in a log while its index does not have them and a process holds the writer's lock.
 *
 * Such a commit is that of the lock's holder, in the moment (an fsync long) between its last frame and the index: no
 * client was told of it. Or it is that of a writer without locks, which has responded already: the two look the same.
 * What arrived at the gate before the commit was found may rest on it, so it waits until the commit is settled:
 *  - the index has moved, and the commit is part of what it names: its writer held the lock. What waits cannot rest on
 *    it, as its writer was not told yet, and need not wait for the collection that has it;
 *  - the writer's lock is free and the index has not moved, or the index has moved past other frames in its place: no
 *    index has it. `FileWatch.examine` decides whether its writer was killed in the middle, or had no locks.
 *
 * A flush need not wait: what it has was committed before. Only its waiters do.
 *
 * How one would lose a write: commit without locks in the moment in which another transaction is between its last frame
 * and the index, in the same place of the log. SQLite itself loses one of the two then.
 *
 * Attacked in test/capture/usage/beside-a-writer.test.ts: "a commit that the owner of the writer's lock overwrites is
 * refused".
 */
import type { TailCommit } from "./wal-tail.ts";
import type { WalPosition } from "./wal-reader.ts";

/** Settled once, for good. */
export interface UnfinishedCommit {
  readonly isSettled: boolean;
}

/** One in the log of a database, found when `at` was its captured end. */
export interface FoundCommit extends UnfinishedCommit {
  readonly at: WalPosition;
  readonly commit: TailCommit;
}

export class UnfinishedCommits {
  readonly #open = new Set<FoundCommit>();

  /** Those that are not settled. */
  get list(): readonly UnfinishedCommit[] {
    return this.#open.size === 0 ? none : [...this.#open].filter(({ isSettled }) => !isSettled);
  }

  /** `isIndexed`: true once the index names the commit. Sync. */
  begin(at: WalPosition, commit: TailCommit, isIndexed: () => boolean): FoundCommit {
    const open = this.#open;
    const found: FoundCommit = {
      at,
      commit,
      get isSettled() {
        if (open.has(found) && isIndexed()) open.delete(found);
        return !open.has(found);
      },
    };
    open.add(found);
    return found;
  }

  settle(found: FoundCommit): void {
    this.#open.delete(found);
  }
}

const none: readonly UnfinishedCommit[] = [];
