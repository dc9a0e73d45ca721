/** Capture's refusals, worded for operators. Kinds: capture-error.ts. */
import { CaptureError, lostContinuity } from "./capture-error.ts";
import { openFilesOf, processName } from "./open-files.ts";

export function notWal(name: string, mode: string): CaptureError {
  return new CaptureError({
    kind: "not-wal",
    database: name,
    found: `journal_mode=${mode}, and it cannot be switched`,
    accepted: "journal_mode=WAL",
    advice: "Let the application open it with PRAGMA journal_mode=WAL, on a file system with shared memory.",
  });
}

export function replaced(name: string): CaptureError {
  return new CaptureError({
    kind: "replaced",
    database: name,
    found: "another file at the path of the captured database",
    accepted: "one file for as long as the application runs",
    advice:
      "Restore into the existing file (sqlite3's .restore or VACUUM INTO plus copy through SQL) instead of renaming over it, then restart this host.",
  });
}

export function companionsGone(name: string): CaptureError {
  return new CaptureError({
    kind: "replaced",
    database: name,
    found: "-wal and -shm files beside it that are missing or not the captured ones",
    accepted: "the files that SQLite created, for as long as the application runs",
    advice:
      "Never remove them, and restore a backup through SQL (sqlite3's .restore), while the application runs; then restart this host.",
  });
}

export function moved(name: string): CaptureError {
  return new CaptureError({
    kind: "replaced",
    database: name,
    found: "the captured database under another name",
    accepted: "one name for as long as the application runs, or a deletion",
    advice:
      "A rename leaves the database's -wal behind, with commits in it: copy it with VACUUM INTO instead. Check that no other stead host uses this data folder, then restart this host.",
  });
}

export function writtenAfterDeletion(
  name: string,
  users: readonly number[] | undefined,
  cause?: CaptureError,
): CaptureError {
  return new CaptureError(
    {
      kind: "replaced",
      database: name,
      found: `commits into a database whose file was already deleted, by ${(users ?? []).map(processName).join(", ") || "a process that had it open"}`,
      accepted: "no writes after a deletion",
      advice:
        "Close all connections before the file is deleted: commits made through them afterwards are in no file. Restart the application.",
    },
    { cause },
  );
}

export function writtenAfterRename(name: string): CaptureError {
  return new CaptureError({
    kind: "replaced",
    database: name,
    found: "commits into its write-ahead log after its file was renamed or replaced",
    accepted: "no writes between a rename and the last close",
    advice:
      "Close all connections before a database is renamed: commits made through them afterwards are in a log that belongs to no file any more. Restart the application.",
  });
}

export function logWithoutFile(name: string, pids: readonly number[]): CaptureError {
  return new CaptureError({
    kind: "replaced",
    database: name,
    found: `a write-ahead log in use by ${pids.map(processName).join(", ")}, without a file of that name: the database was renamed, or replaced another one, while it was open`,
    accepted: "no writes between a rename and the last close",
    advice:
      "Close all connections before a database is renamed: commits made through them afterwards are in a log that belongs to no file any more. Restart the application.",
  });
}

export function notADatabase(name: string, found: string, cause?: unknown): CaptureError {
  return new CaptureError(
    {
      kind: "not-a-database",
      database: name,
      found,
      accepted: "a file with SQLite's header, not encrypted",
      advice: "Name only SQLite databases in the service's list; an encrypted database cannot be captured.",
    },
    cause === undefined ? undefined : { cause },
  );
}

export function heapIndex(name: string, cause: unknown): CaptureError {
  return new CaptureError(
    {
      kind: "exclusive",
      database: name,
      found: "no shared WAL index beside the database",
      accepted: "locking_mode=NORMAL",
      advice: "Remove PRAGMA locking_mode=EXCLUSIVE from the application.",
    },
    { cause },
  );
}

/** `pids` have the database open, and not its log. */
export function usedElsewhere(database: string, pids: readonly number[]): CaptureError {
  const logs = pids
    .flatMap((pid) => openFilesOf(pid))
    .map(({ path }) => path)
    .filter((path) => path.includes("-wal"));
  const users = pids.map(processName).join(", ");
  if (logs.length === 0) {
    const advice =
      "Remove PRAGMA locking_mode=EXCLUSIVE from the application; if it does not use it, close all connections to a database before it is renamed, and do not open it by a hard link.";
    return uncoordinated(
      database,
      `a lock of ${users}, which does not use its WAL index (-shm): it wants the database for itself, or has it open under another name`,
      advice,
    );
  }
  return uncoordinated(
    database,
    `another write-ahead log than its own in use by ${users} (open: ${[...new Set(logs)].join(", ")}): it was opened under another name`,
    "Close all connections to a database before it is renamed, and do not open it by a hard link: SQLite keeps the log beside the name under which a connection was opened.",
  );
}

const noOtherEngines =
  "Remove vfs=unix-none, vfs=unix-dotfile, nolock=1 and locking_mode=EXCLUSIVE from the application, and do not use engines that coordinate by other files (Turso's multiprocess_wal).";

function uncoordinated(database: string, found: string, advice = noOtherEngines): CaptureError {
  return new CaptureError({
    kind: "uncoordinated",
    database,
    found,
    accepted: "writers that use SQLite's WAL index and its locks",
    advice,
  });
}

/** `pids`: who did it, as far as that is known. */
export function uncoordinatedBy(pids: readonly number[], database: string, found: string): CaptureError {
  return uncoordinated(database, pids.length === 0 ? found : `${found}, by ${pids.map(processName).join(", ")}`);
}

export function linked(database: string, other: string | undefined): CaptureError {
  return new CaptureError({
    kind: "linked",
    database,
    found: other === undefined ? "a hard link to it under another name" : `a hard link to it: ${other}`,
    accepted:
      "one name for each database file: SQLite keeps the write-ahead log beside the name under which it is opened",
    advice:
      "Remove one of the names; for a copy use VACUUM INTO or sqlite3's .backup, for another name a symbolic link.",
  });
}

/** Commits under the other name go into the log beside it. */
export function openedByOtherName(database: string, other: string): CaptureError {
  return uncoordinated(
    database,
    `a write-ahead log beside its other name: ${other}-wal`,
    "Open a database by one name only; for a copy use VACUUM INTO or sqlite3's .backup, for another name a symbolic link.",
  );
}

/** The database file was written without a commit. */
export function overwritten(database: string, page: number): CaptureError {
  return lostContinuity(
    database,
    `page ${page} of the database file with content that was never committed: a process wrote to the file without a log`,
    "writes through SQLite only (restore a backup with sqlite3's .restore, not with cp)",
  );
}

/** Such a connection would write into the log of the new file. */
export function formerFileOpen(database: string, pids: readonly number[]): CaptureError {
  return new CaptureError({
    kind: "locked",
    database,
    found: `a file of this name that was deleted is still open, in rollback mode, by ${pids.map(processName).join(", ")}`,
    accepted: "a new file when no connection to the former one is open",
    advice: "Close all connections to a database before its file is deleted or replaced.",
  });
}

/** Its writer knows nothing of locks, and what this host has written may have destroyed its commit. */
export function writtenDuringSwitch(database: string): CaptureError {
  return lostContinuity(
    database,
    "a commit of a process that takes no locks, made while this host switched the database to WAL",
    "writers with SQLite's locks (no nolock=1, no vfs=unix-none), or with journal_mode=WAL from the start",
  );
}

/**
 * `pids` have the lock, as far as known. `isExclusive`: there is a log and no index, which only locking_mode=EXCLUSIVE
 * leaves.
 */
export function staysLocked(name: string, pids: readonly number[], isExclusive: boolean): CaptureError {
  const by = pids.length === 0 ? "" : ` by ${pids.map(processName).join(", ")}`;
  if (isExclusive) {
    return new CaptureError({
      kind: "exclusive",
      database: name,
      found: `a database locked for good${by}, with a write-ahead log and without its index (-shm), as locking_mode=EXCLUSIVE makes it`,
      accepted: "locking_mode=NORMAL",
      advice: "Remove PRAGMA locking_mode=EXCLUSIVE from the application; journal_mode=WAL with it does not help.",
    });
  }
  return new CaptureError({
    kind: "exclusive",
    database: name,
    found: `a database that stays locked${by}`,
    accepted: "locking_mode=NORMAL, and transactions that end",
    advice:
      "The host waits for a long first transaction (an import) for `uncaptured_patience`. If there is none, remove PRAGMA locking_mode=EXCLUSIVE from the application.",
  });
}

/** Capturing it would delete from the journal what only `other` has now (deferred-names.ts). */
export function waitsForAnother(name: string, other: string): CaptureError {
  return new CaptureError({
    kind: "locked",
    database: name,
    found: `a new file at the name of a database that was renamed or replaced, while ${other} cannot be captured`,
    accepted: `a new file once ${other} is captured or gone`,
    advice: `See what keeps ${other} from being captured.`,
  });
}

export function notWhole(name: string, found: string): CaptureError {
  return new CaptureError({
    kind: "locked",
    database: name,
    found,
    accepted: "a complete database that only SQLite writes to",
    advice: "Copy or download a database to a name that no pattern matches, then rename it.",
  });
}

/** SQLite cannot open it, for a reason that capture does not know. */
export function notReadable(name: string, why: string): CaptureError {
  return new CaptureError({
    kind: "damaged",
    database: name,
    found: `a file that SQLite cannot work with (${why})`,
    accepted: "a database that SQLite can open",
    advice: "Recover it with sqlite3's .recover, restore it from a backup, or leave it out with `databases_except`.",
  });
}

/** A database that is captured, or a folder: the call may work a moment later. */
export function cannotRead(name: string, cause: Error): CaptureError {
  return new CaptureError(
    {
      kind: "unreadable",
      database: name,
      found: `files that cannot be read (${cause.message})`,
      accepted: "files that this host can read and open",
      advice:
        "Check the disk, the permissions of the files, and the file itself with sqlite3. What was captured of it is in the vault, and the next primary starts from that.",
    },
    { cause },
  );
}

export function tooMany(name: string, databasesMax: number): CaptureError {
  return new CaptureError({
    kind: "limit",
    database: name,
    found: `more than ${databasesMax} databases`,
    accepted: `at most ${databasesMax}`,
    advice:
      "Raise `databases_max` in [host] (memory and descriptors grow with it), narrow `databases`, or split the service.",
  });
}

export function sameFileTwice(name: string, other: string): CaptureError {
  return new CaptureError({
    kind: "name",
    database: name,
    found: `the same file as ${other}`,
    accepted: "one name per file",
    advice: "Remove the hard link or symbolic link, or name only one of them.",
  });
}

export function filesNeverSettle(waitedMs: number): CaptureError {
  return new CaptureError({
    kind: "locked",
    database: ".",
    found: `databases that appeared and vanished for ${waitedMs} ms`,
    accepted: "a moment in which the set of databases stays the same",
    advice: "Keep temporary databases outside the patterns of the service.",
  });
}

export function otherPageSize(name: string, found: number, accepted: number): CaptureError {
  return new CaptureError({
    kind: "page-size",
    database: name,
    found: `pages of ${found} bytes`,
    accepted: `pages of ${accepted} bytes, as when capture began`,
    advice: "Change a page size only while stead does not run the application.",
  });
}
