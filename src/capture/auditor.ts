/**
 * What no event and no stamp tells, looked for at intervals: whether files are still the ones at their paths (a link on the way may lead
 * elsewhere, something may be mounted there), whether somebody uses another log of a database, and which databases in use nobody captures.
 *
 * The kernel writes the list of locks in a time that grows faster than the list, so it is read once for all databases, and the less often the longer
 * it is. In this thread: read in another one, it would tell of databases as unused that were opened meanwhile, and have them closed.
 */
import { pathOf } from "./data-path.ts";
import { identityAt, sameFile } from "./file-identity.ts";
import { FileLocks } from "./file-locks.ts";
import { auditMs, longLockList, unlistedMs } from "./limits.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { UnlistedLogs } from "./unlisted-logs.ts";

export interface AuditorOptions {
  readonly root: string;
  readonly unlisted: UnlistedLogs;
  onUsedElsewhere(database: TrackedDatabase): void;
  /** A database is not at its path: what is in the folders has to be looked at again. */
  onMisplaced(): void;
}

export class Auditor {
  readonly #options: AuditorOptions;
  #placeAtMs = 0;
  #usersAtMs = 0;
  #unlistedAtMs = 0;
  /** The last list that was read. */
  locks: FileLocks | undefined;

  constructor(options: AuditorOptions) {
    this.#options = options;
  }

  /** `next`: the database whose turn it is; of all of them one place is looked at each time. */
  audit(nowMs: number, databases: ReadonlyMap<string, TrackedDatabase>, next: () => TrackedDatabase | undefined): void {
    if (nowMs >= this.#placeAtMs) {
      const database = databases.size === 0 ? undefined : next();
      if (database !== undefined && !this.#isInPlace(database)) this.#options.onMisplaced();
      this.#placeAtMs = nowMs + auditMs / Math.max(1, databases.size);
    }
    if (nowMs < this.#usersAtMs) return;
    this.locks = FileLocks.now();
    if (this.locks !== undefined) {
      this.#auditUsers(databases.values(), this.locks);
      if (nowMs >= this.#unlistedAtMs) this.#options.unlisted.look(this.locks, new Set([...databases.values()].map(({ watch }) => watch.indexInode)));
    }
    if (nowMs >= this.#unlistedAtMs) this.#unlistedAtMs = nowMs + unlistedMs;
    this.#usersAtMs = nowMs + auditMs * Math.max(1, (this.locks?.characters ?? 0) / longLockList) ** 2;
  }

  /**
   * True when a process uses another log of one of these databases. Nothing else is asked here: while commits are being collected, what is
   * behind the captured state in a log looks suspicious, and the collection would begin anew until the folder's stamp has settled.
   */
  auditUsers(databases: Iterable<TrackedDatabase>): boolean {
    const locks = FileLocks.now();
    return locks !== undefined && this.#auditUsers(databases, locks);
  }

  #auditUsers(databases: Iterable<TrackedDatabase>, locks: FileLocks): boolean {
    let isUsedElsewhere = false;
    for (const database of databases) {
      if (!database.watch.audit(locks)) continue;
      isUsedElsewhere = true;
      this.#options.onUsedElsewhere(database);
    }
    return isUsedElsewhere;
  }

  /** Its files are at their paths, and its name leads to them. */
  #isInPlace({ name, files }: TrackedDatabase): boolean {
    const found = identityAt(pathOf(this.#options.root, name));
    return found !== undefined && sameFile(found, files.identity) && files.companions() === "same";
  }
}
