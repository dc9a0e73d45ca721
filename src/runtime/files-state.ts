/** Finds out whether files have changed, by device, inode, size and time of change. */
import { statSync } from "node:fs";

/**
 * Returns a value that changes with any of the files. Taken before reading: the next check then sees a change in
 * between.
 */
export const filesState = (paths: readonly string[]): string => paths.map(stateOf).join(" ");

function stateOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false, bigint: true });
  return found === undefined ? "missing" : `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}`;
}
