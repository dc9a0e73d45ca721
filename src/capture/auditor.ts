/**
 * What no event and no stamp tells, looked for at intervals: whether files are still the ones at their paths (a link on
 * the way may lead elsewhere, something may be mounted there), whether somebody uses another log of a database, and
 * which databases in use nobody captures.
 *
 * Who uses a database the kernel tells by itself (F_GETLK), in a microsecond: one process, the earliest of several. The
 * list of locks has all of them, and while it is read no lock on the machine is granted: read ten times a second, it
 * cost writers a third of their throughput (1 client, vault and databases on tmpfs). So it is read when the kernel
 * names a process that the WAL index does not have first, and besides every `listMs`: the second process of a database,
 * which opened it by another name without an event in a folder, is seen that late.
 *
 * The kernel writes the list in a time that grows faster than the list, so it is read once for all databases, and the
 * less often the longer it is. In this thread: read in another one, it would tell of databases as unused that were
 * opened meanwhile, and have them closed.
 */
import { type LockHolder, loadedLockHolder } from "../runtime/posix-locks.ts";
import { pathOf } from "./data-path.ts";
import { identityAt, sameFile } from "./file-identity.ts";
import { FileLocks } from "./file-locks.ts";
import { askedPerAudit, auditMs, listMs, longLockList } from "./limits.ts";
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
  #listAtMs = 0;
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
    const kernel = loadedLockHolder();
    this.#usersAtMs =
      nowMs + auditMs * Math.max(1, kernel === undefined ? listLength(this.locks) : databases.size / askedPerAudit);
    const isListDue = nowMs >= this.#listAtMs;
    if (kernel !== undefined && !this.#isListWanted(databases.values(), kernel) && !isListDue) return;
    this.locks = FileLocks.now();
    if (this.locks !== undefined) {
      this.#auditUsers(databases.values(), this.locks);
      if (isListDue)
        this.#options.unlisted.look(this.locks, new Set([...databases.values()].map(({ watch }) => watch.indexInode)));
    }
    if (isListDue) this.#listAtMs = nowMs + listMs * listLength(this.locks);
  }

  /** Asks the kernel about each of them. */
  #isListWanted(databases: Iterable<TrackedDatabase>, kernel: LockHolder): boolean {
    let isWanted = false;
    for (const { watch } of databases) if (watch.askForUsers(kernel)) isWanted = true;
    return isWanted;
  }

  /**
   * True when a process uses another log of one of these databases. Nothing else is asked here: while commits are being
   * collected, what is behind the captured state in a log looks suspicious, and the collection would begin anew until
   * the folder's stamp has settled.
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

/** 1 up to `longLockList`; the time to read it grows with its square. */
const listLength = (locks: FileLocks | undefined): number => Math.max(1, (locks?.characters ?? 0) / longLockList) ** 2;
