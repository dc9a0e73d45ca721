/**
 * Finds processes without SQLite's locks (`vfs=unix-none`, `unix-dotfile`) that keep the log of a new file beside a
 * name that it had before: the file was renamed while it was open, and its commits are in that log. Captured without
 * them, the file would lack everything that the process sees in it. A process with locks shows itself by these
 * (file-users.ts).
 *
 * SQLite has a log open only as long as its database: a process with a log whose database it does not have open by that
 * name, but with the new file open, has the log for it. Not found: one that has another database open by the former
 * name.
 */
import { type FilePath, withSuffix } from "./data-path.ts";
import { identityAt } from "./file-identity.ts";
import { leadsTo, openFilesOf } from "./open-files.ts";

const logSuffix = "-wal";

/** Returns those of these processes, which write to the file, that have a log open without its database. */
export function usersOfOtherLog(path: FilePath, pids: readonly number[]): number[] {
  const own = identityAt(withSuffix(path, logSuffix));
  return pids.filter((pid) => {
    const files = openFilesOf(pid).map(({ entry, path: found }) => ({
      entry,
      name: found.replace(/ \(deleted\)$/, ""),
    }));
    const names = new Set(files.map(({ name }) => name));
    return files.some(
      ({ entry, name }) =>
        name.endsWith(logSuffix) &&
        !names.has(name.slice(0, -logSuffix.length)) &&
        (own === undefined || !leadsTo(entry, own)),
    );
  });
}
