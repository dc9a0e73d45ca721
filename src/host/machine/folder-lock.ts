/**
 * Ensures one host per state folder and data folder: a second one (a copied configuration with another id) would move
 * away the databases that the application of the first has open. The lock is taken before anything is changed and kept
 * until the process has ended; runtime/file-lock.ts has the details.
 */
import { join } from "node:path";
import { folderLockName } from "../../core/database-pattern.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { FileLock, lockHolder } from "../../runtime/file-lock.ts";

/** Another host has the folder. */
export class FolderLockedError extends OperatorError {
  constructor(key: "state" | "data", folder: string, holder: number | undefined) {
    super("resource", {
      found: `another host${holder === undefined ? "" : ` (process ${holder})`} has the folder ${folder} of host.${key}`,
      accepted: "one running host for each `host.state` and `host.data`",
      advice:
        "stop that host (a frozen one keeps its folders until it is killed), or give this one its own `id`, `state` and `data`",
    });
  }
}

/** Both folders exist. Throws `FolderLockedError`, and what `FileLock.take` throws. */
export function lockFolders({
  stateFolder,
  dataFolder,
}: {
  readonly stateFolder: string;
  readonly dataFolder: string;
}): { release(): void } {
  const locks: FileLock[] = [];
  const release = (): void => locks.forEach((lock) => lock.release());
  for (const [key, folder] of [
    ["state", stateFolder],
    ["data", dataFolder],
  ] as const) {
    const path = join(folder, folderLockName);
    try {
      const lock = FileLock.take(path);
      if (lock === undefined) throw new FolderLockedError(key, folder, lockHolder(path));
      locks.push(lock);
    } catch (error) {
      release();
      throw error;
    }
  }
  return { release };
}
