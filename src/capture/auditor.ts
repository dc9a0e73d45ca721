/**
 * Checks at intervals what no event and no stamp shows: whether the data folder and the files are still the ones at
 * their paths (a link may lead elsewhere now, something may be mounted there), whether a process uses another log of a
 * database, and which databases in use are not captured.
 *
 * The kernel names one user of a database in a microsecond (F_GETLK): the earliest of several. The list of locks has
 * all of them, but no lock on the machine is granted while it is read: reading it ten times a second cost writers a
 * third of their throughput (1 client, vault and databases on tmpfs). It is therefore read when the kernel names a
 * process that is not first in the WAL index, and also every `listMs`. A second process of a database, which opened it
 * under another name without an event in a folder, is detected that late.
 *
 * The time to write the list grows faster than the list, so it is read once for all databases, and less often the
 * longer it is. It is read in this thread: a list read in another thread would show databases as unused that were
 * opened meanwhile, and they would be closed.
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
  /** A database is not at its path: the folders must be rescanned. */
  onMisplaced(): void;
  /** Throws `CaptureError` if the data folder is not the one of the start. */
  assertRootInPlace(): void;
}

export class Auditor {
  readonly #options: AuditorOptions;
  #rootAtMs = 0;
  #placeAtMs = 0;
  #usersAtMs = 0;
  #listAtMs = 0;
  /** The last list that was read. */
  locks: FileLocks | undefined;

  constructor(options: AuditorOptions) {
    this.#options = options;
  }

  /** `next`: the database whose turn it is; each audit checks one place among all of them. */
  audit(nowMs: number, databases: ReadonlyMap<string, TrackedDatabase>, next: () => TrackedDatabase | undefined): void {
    if (nowMs >= this.#rootAtMs) {
      this.#options.assertRootInPlace();
      this.#rootAtMs = nowMs + auditMs;
    }
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
   * True if a process uses another log of one of these databases. It checks nothing else: while commits are being
   * collected, data behind the captured state in a log looks suspicious, and the collection would start over until the
   * folder's stamp has settled.
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

  /** True if its files are at their paths, and its name leads to them. */
  #isInPlace({ name, files }: TrackedDatabase): boolean {
    const found = identityAt(pathOf(this.#options.root, name));
    return found !== undefined && sameFile(found, files.identity) && files.companions() === "same";
  }
}

/** 1 up to `longLockList`; the time to read the list grows with its square. */
const listLength = (locks: FileLocks | undefined): number => Math.max(1, (locks?.characters ?? 0) / longLockList) ** 2;
