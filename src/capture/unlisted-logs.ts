/**
 * Databases in WAL mode below the data folder that some process has open and nobody captures: no pattern matches them. What is
 * committed there is not there after a failover, and only the one who wrote the patterns can say whether that is meant.
 *
 * Every connection in WAL mode locks byte 128 of its WAL index, so the list of locks tells whether there is one that is not ours; only
 * then the open files of its process are looked through. What has no index (another journal mode, another engine) is not found.
 */
import { realpathSync } from "node:fs";
import { type FileIdentity, identityAt } from "./file-identity.ts";
import type { FileLocks } from "./file-locks.ts";
import { openFilesOf, processName } from "./open-files.ts";

export interface UnlistedOptions {
  readonly root: string;
  /** Names that are left out on purpose. */
  readonly isExcepted: (name: string) => boolean;
  /** A file of a captured database. */
  readonly isCaptured: (identity: FileIdentity) => boolean;
  readonly onWarning: (text: string) => void;
}

export class UnlistedLogs {
  readonly #options: UnlistedOptions;
  /** Users of indexes that are not captured, as they were at the last look. */
  #seen = "";

  constructor(options: UnlistedOptions) {
    this.#options = options;
  }

  /** Warns of each database once. Microseconds while nothing changes. */
  look(locks: FileLocks, capturedIndexes: ReadonlySet<bigint>): void {
    const users = locks.indexUsers().filter(({ inode }) => !capturedIndexes.has(inode));
    const key = users.map(({ pid, inode }) => `${pid} ${inode}`).sort().join();
    if (key === this.#seen) return;
    this.#seen = key;
    for (const pid of new Set(users.map((user) => user.pid))) this.#lookAt(pid);
  }

  #lookAt(pid: number): void {
    const { root, isExcepted, isCaptured, onWarning } = this.#options;
    const folder = `${realpathSync(root)}/`;
    for (const { path, entry } of openFilesOf(pid)) {
      if (!path.endsWith("-wal") || !path.startsWith(folder)) continue;
      const name = path.slice(folder.length, -"-wal".length);
      const identity = identityAt(entry);
      if (identity === undefined || isCaptured(identity) || isExcepted(name)) continue;
      onWarning(`${name} is a database that ${processName(pid)} has open and that no pattern of \`databases\` in [host] matches: what is written there is not there after a failover. Add a pattern, or name it in \`databases_except\``);
    }
  }
}
