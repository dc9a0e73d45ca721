/**
 * Logs beside a name that is captured, without a file at that name, and in use: a connection whose database was renamed
 * or replaced before it was captured. Its commits go into a log that belongs to no file any more, and nothing else
 * shows them: where its process has the other file open too, each connection looks like a user of the other's log,
 * since the kernel knows the locks of processes, not of connections.
 *
 * Responses are held while there is one. A file that was deleted, not renamed, is none: SQLite loses by itself what is
 * written there. A database that this host has open is watched by its own parts (displaced-databases.ts, deletion.ts).
 *
 * Creating a log changes its folder, so each is seen in a scan, and looked at in every scan until the folder's stamp
 * has settled; one that nothing uses then stays unused, because opening a database needs or makes its file.
 */
import { realpathSync } from "node:fs";
import type { Clock } from "../runtime/clock.ts";
import type { CaptureError } from "./capture-error.ts";
import { type FilePath, folderOf, textOf, withSuffix } from "./data-path.ts";
import { type FileIdentity, identityAt } from "./file-identity.ts";
import { openFilesOf, processesWithOpen } from "./open-files.ts";
import { logWithoutFile } from "./refusals.ts";
import type { Uncaptured } from "./uncaptured.ts";

/** How often one in use is looked at again, milliseconds. */
const lookAgainMs = 50;

export interface OrphanLogsOptions {
  readonly clock: Pick<Clock, "now">;
  readonly uncaptured: Uncaptured;
  /** True for a file of a database that this process has open. */
  readonly isOpen: (identity: FileIdentity) => boolean;
}

export class OrphanLogs {
  readonly #options: OrphanLogsOptions;
  readonly #used = new Map<string, CaptureError>();
  #seen: ReadonlyMap<string, FilePath> | undefined;
  #againAtMs = 0;

  constructor(options: OrphanLogsOptions) {
    this.#options = options;
  }

  /** Takes those of the last scan: the paths of the absent databases, by name. Sync; a look takes milliseconds. */
  note(absent: ReadonlyMap<string, FilePath>): void {
    const { clock, uncaptured } = this.#options;
    const isAgainDue = this.#used.size > 0 && clock.now() >= this.#againAtMs;
    if (absent === this.#seen && !isAgainDue) return;
    this.#seen = absent;
    this.#againAtMs = clock.now() + lookAgainMs;
    for (const name of this.#used.keys()) if (!absent.has(name)) this.#clear(name);
    for (const [name, path] of absent) {
      const users = this.#usersOf(path);
      if (users.length === 0) this.#clear(name);
      else {
        const error = logWithoutFile(name, users);
        this.#used.set(name, error);
        uncaptured.note(name, error);
      }
    }
  }

  /** A file that came to the name may be held for a reason of its own by now. */
  #clear(name: string): void {
    const error = this.#used.get(name);
    this.#used.delete(name);
    if (error !== undefined) this.#options.uncaptured.withdraw(name, error);
  }

  /** Returns the other processes that have one of its logs open, and not the file deleted. */
  #usersOf(path: FilePath): number[] {
    const logs = ["-wal", "-shm"].flatMap((suffix) => identityAt(withSuffix(path, suffix)) ?? []);
    if (logs.some((log) => this.#options.isOpen(log))) return [];
    const users = new Set(logs.flatMap((log) => processesWithOpen(log)));
    return [...users].filter((pid) => !hasDeleted(pid, path));
  }
}

/** True if the process has this file open, and it has no name any more. */
function hasDeleted(pid: number, path: FilePath): boolean {
  const folder = textOf(folderOf(path));
  const name = textOf(path).slice(folder.length + 1);
  return openFilesOf(pid).some((file) => file.path === `${realpathSync(folder)}/${name} (deleted)`);
}
