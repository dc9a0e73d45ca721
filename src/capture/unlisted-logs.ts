/**
 * Databases in WAL mode below the data folder that a process has open but no pattern matches. Their content is missing
 * after a failover, and only the author of the patterns knows whether that is intended.
 *
 * Every connection in WAL mode locks byte 128 of its WAL index, so the list of locks shows whether there is one that is
 * not ours; only then are the open files of its process searched. Databases without an index (another journal mode,
 * another engine) are not found. A database that is being created is open before it is captured, so only those seen at
 * two looks are reported.
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
  /** Users of uncaptured indexes at the last look, and whether they were already examined. */
  #seen: ReadonlyMap<string, boolean> = new Map();

  constructor(options: UnlistedOptions) {
    this.#options = options;
  }

  /** Warns of each database once. Microseconds while nothing changes. */
  look(locks: FileLocks, capturedIndexes: ReadonlySet<bigint>): void {
    const users = locks.indexUsers().filter(({ inode }) => !capturedIndexes.has(inode));
    const lasting = users.filter((user) => this.#seen.get(keyOf(user)) === false);
    this.#seen = new Map(users.map((user) => [keyOf(user), this.#seen.has(keyOf(user))]));
    for (const pid of new Set(lasting.map((user) => user.pid)))
      this.#lookAt(pid, new Set(lasting.map(({ inode }) => inode)));
  }

  #lookAt(pid: number, indexes: ReadonlySet<bigint>): void {
    const { root, isExcepted, isCaptured, onWarning } = this.#options;
    const folder = `${realpathSync(root)}/`;
    for (const { path, entry } of openFilesOf(pid)) {
      if (!path.endsWith("-shm") || !path.startsWith(folder)) continue;
      const name = path.slice(folder.length, -"-shm".length);
      const identity = identityAt(entry);
      if (identity === undefined || !indexes.has(identity.inode) || isCaptured(identity) || isExcepted(name)) continue;
      onWarning(
        `${name} is a database that ${processName(pid)} has open and that no pattern of \`databases\` in [host] matches: its content is missing after a failover. Add a pattern, or name it in \`databases_except\``,
      );
    }
  }
}

const keyOf = ({ pid, inode }: { readonly pid: number; readonly inode: bigint }): string => `${pid} ${inode}`;
