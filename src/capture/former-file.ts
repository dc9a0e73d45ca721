/**
 * Finds processes that have a former, deleted file of a database's name open in rollback mode.
 *
 * Such a connection looks for a log by its name whenever it begins to read, and if there is one it changes to WAL mode
 * (pager.c, pagerOpenWalIfPresent). The log of a new file with that name then gets commits of a connection to another
 * file: with its page numbers, and checkpointed into the deleted file. A connection in WAL mode has its own log open
 * already, which is watched until it is closed (deletion.ts).
 */
import { closeSync, openSync, readSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";
import { type FilePath, folderOf, textOf } from "./data-path.ts";
import { openFilesOf, otherProcesses } from "./open-files.ts";

/** Of the header: the journal that writers use, and readers. 2: a write-ahead log. */
const versionsOffset = 18;
const logVersion = 2;

/** `path`: of the file that has the name now. Takes milliseconds. */
export function usersOfFormerFile(path: FilePath): number[] {
  // As the kernel names it.
  const former = `${join(realpathSync(textOf(folderOf(path))), basename(textOf(path)))} (deleted)`;
  return otherProcesses().filter((pid) =>
    openFilesOf(pid).some(({ path: found, entry }) => found === former && !usesLog(entry)),
  );
}

function usesLog(entry: string): boolean {
  const versions = Buffer.alloc(2);
  try {
    const fd = openSync(entry, "r");
    try {
      readSync(fd, versions, 0, 2, versionsOffset);
    } finally {
      closeSync(fd);
    }
  } catch {
    return true; // Closed meanwhile: no user any more.
  }
  return versions[0] === logVersion && versions[1] === logVersion;
}
