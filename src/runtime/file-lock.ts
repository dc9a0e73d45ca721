/**
 * A lock between processes of one machine on a small file: an exclusive transaction of SQLite that is never committed,
 * since neither Node nor Bun has a call for file locks. The file stays empty.
 *
 * The kernel has the lock (POSIX, `fcntl`), and lets go of it when the process has ended, however it ended: a process
 * that is started right after a SIGKILL gets it at once. A process that is only stopped (SIGSTOP, a frozen machine)
 * keeps it, and must: it would go on writing when it wakes up. POSIX locks belong to the process and are not inherited
 * by fork, and SQLite opens the file close-on-exec: an application that outlives its parent has neither. Reading the
 * file, or what lies beside it, needs no lock.
 *
 * How it could fail: closing any other descriptor of the file in this process drops the lock, so nothing here opens it
 * by other means. A file that is deleted while it is locked can be made and locked anew. On a network file system the
 * server lets go, in its own time, of what a machine had that died.
 */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
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
   * Takes the lock on `path`, a file of its own in a folder that exists, and makes the file when there is none. Never
   * waits. undefined: another process has it, or this one. Throws `FileLockError`, and the system's error where the
   * folder cannot be written to.
   */
  static take(path: string): FileLock | undefined {
    accessSync(dirname(path), constants.W_OK);
    let connection: DatabaseSync | undefined;
    try {
      connection = new DatabaseSync(path, { timeout: 0 });
      // No journal in a file: one would be left behind by a SIGKILL.
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

/** The process that has the lock on `path`, as far as the kernel tells (Linux). */
export function lockHolder(path: string): number | undefined {
  try {
    const { ino } = statSync(path);
    const line = readFileSync("/proc/locks", "utf8")
      .split("\n")
      .find((each) => each.includes(" POSIX ") && each.includes(`:${ino} `));
    const pid = Number(line?.trim().split(/\s+/)[4]);
    return pid > 0 ? pid : undefined;
  } catch {
    // Only for a message, which does without.
    return undefined;
  }
}
