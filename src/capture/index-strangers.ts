/**
 * Processes that have the log of a database open and do not use its index: writers that coordinate by other means, or
 * not at all. A process that opens the database has the log a moment before it locks the index.
 *
 * They are looked for when a commit is examined that the index does not have, and noted before, when the gate sees such
 * a commit first: its writer may be killed in between, together with users of the index, and the commit would look like
 * one that no response followed.
 */
import { type FileIdentity, identityOfFd } from "./file-identity.ts";
import { connectionLockByte, FileLocks } from "./file-locks.ts";
import { processesWithOpen } from "./open-files.ts";
import type { WalPosition } from "./wal-reader.ts";

export class IndexStrangers {
  readonly #files: { readonly walFd: number };
  readonly #index: FileIdentity;
  #noted: { readonly at: WalPosition; readonly pids: readonly number[] } | undefined;

  /** `walFd` is read at each look: it changes when the files are reopened. */
  constructor(files: { readonly walFd: number }, index: FileIdentity) {
    this.#files = files;
    this.#index = index;
  }

  /** Returns other processes that use the index; undefined if that is not reported. */
  users(locks: FileLocks | undefined): ReadonlySet<number> | undefined {
    return locks?.others(this.#index.inode, connectionLockByte, connectionLockByte);
  }

  /** Returns those beside `users`. Sync, milliseconds: asks for the open files of all processes. */
  beside(users: ReadonlySet<number>): readonly number[] {
    return processesWithOpen(identityOfFd(this.#files.walFd)).filter((pid) => !users.has(pid));
  }

  /** Notes those of now, once for each captured position. Sync, milliseconds. */
  note(at: WalPosition): void {
    if (this.#noted?.at === at) return;
    const users = this.users(FileLocks.now());
    this.#noted = { at, pids: users === undefined ? [] : this.beside(users) };
  }

  /** Returns those that were noted at this captured position. */
  notedAt(at: WalPosition | undefined): readonly number[] {
    return this.#noted !== undefined && this.#noted.at === at ? this.#noted.pids : [];
  }
}
