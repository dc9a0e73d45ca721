/**
 * A lock between processes of one machine on a small file: an exclusive SQLite transaction that is never committed,
 * since neither Node nor Bun has a call for file locks. The file stays empty.
 *
 * The kernel holds the lock (POSIX, `fcntl`) and releases it when the process has ended, for any reason: a process
 * started right after a SIGKILL gets it at once. A process that is only stopped (SIGSTOP, a frozen machine) keeps it,
 * as it must: it would continue to write when it wakes up. POSIX locks belong to the process and are not inherited by
 * fork, and SQLite opens the file close-on-exec, so an application that outlives its parent has neither lock nor
 * descriptor. Reading the file, or files beside it, needs no lock.
 *
 * How it could fail: closing any other descriptor of the file in this process drops the lock, so nothing here opens the
 * file by other means. A file that is deleted while it is locked can be created and locked again. On a network file
 * system the server decides when it releases the locks of a dead machine.
 */
import { accessSync, constants, lstatSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { messageOf, OperatorError } from "./operator-error.ts";

const sqliteBusy = 5;

/** Locking failed for a reason other than contention. */
export class FileLockError extends OperatorError {
  constructor(path: string, cause: unknown) {
    const found = `cannot lock ${path}: ${messageOf(cause)}`;
    const accepted = "a folder on a file system of this machine that has file locks, and that this user can write to";
    super(
      "resource",
      { found, accepted, advice: "name another folder, or give this user the right to write there" },
      { cause },
    );
  }
}

export class FileLock {
  readonly #connection: DatabaseSync;

  private constructor(connection: DatabaseSync) {
    this.#connection = connection;
  }

  /**
   * Takes the lock on `path`, a separate file in an existing folder, and creates the file if necessary. Never waits.
   * Returns undefined if another process, or this one, has it. Throws `FileLockError`, and the system's error if the
   * folder is not writable.
   */
  static take(path: string): FileLock | undefined {
    accessSync(dirname(path), constants.W_OK);
    // It would be created elsewhere, by who may do more than who made the link.
    if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true)
      throw new FileLockError(path, new Error("it is a symbolic link"));
    let connection: DatabaseSync | undefined;
    try {
      connection = new DatabaseSync(path, { timeout: 0 });
      // No journal file: a SIGKILL would leave it behind.
      connection.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
      return new FileLock(connection);
    } catch (error) {
      connection?.close();
      if (error instanceof Error && "errcode" in error && error.errcode === sqliteBusy) return undefined;
      throw new FileLockError(path, error);
    }
  }

  release(): void {
    this.#connection.close();
  }
}

/** Returns the process that has the lock on `path`, as far as the kernel reports it (Linux). */
export function lockHolder(path: string): number | undefined {
  try {
    const { ino } = statSync(path);
    const line = readFileSync("/proc/locks", "utf8")
      .split("\n")
      .find((each) => each.includes(" POSIX ") && each.includes(`:${ino} `));
    const pid = Number(line?.trim().split(/\s+/)[4]);
    return pid > 0 ? pid : undefined;
  } catch {
    // Used in a message only, which is complete without it.
    return undefined;
  }
}
