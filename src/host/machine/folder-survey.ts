/**
 * Every entry of a data folder, found without opening anything but the first bytes of files: for `stead host --explain`
 * and `stead init`, also while the application runs.
 */
import { closeSync, lstatSync, openSync, readdirSync, readSync, constants } from "node:fs";
import { join } from "node:path";
import { nameOfBytes } from "../../core/database-name.ts";
import type { FoundEntry } from "../../core/files/coverage.ts";

export interface FolderSurvey {
  /** In the order of their names. */
  readonly entries: readonly FoundEntry[];
  /** There are more: the rest was not looked at. */
  readonly isCut: boolean;
  /** Folders that cannot be read, with the reason. */
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
}

const entriesMax = 200_000;
const magic = Buffer.from("SQLite format 3\0", "latin1");

/** Links are not followed. A folder that does not exist is empty. */
export function surveyFolder(root: string, most = entriesMax): FolderSurvey {
  const entries: FoundEntry[] = [];
  const unreadable: { name: string; reason: string }[] = [];
  const folders: Buffer[] = [Buffer.alloc(0)];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const at = folder.length === 0 ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), folder]);
    let names: Buffer[];
    try {
      names = readdirSync(at, { encoding: "buffer" });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== "ENOENT") unreadable.push({ name: nameOfBytes(folder), reason: message });
      continue;
    }
    for (const each of names) {
      if (entries.length >= most) return { entries: sorted(entries), isCut: true, unreadable };
      const path = folder.length === 0 ? each : Buffer.concat([folder, Buffer.from("/"), each]);
      const entry = entryAt(root, path);
      if (entry === undefined) continue;
      entries.push(entry);
      if (entry.kind === "folder") folders.push(path);
    }
  }
  return { entries: sorted(entries), isCut: false, unreadable };
}

function entryAt(root: string, path: Buffer): FoundEntry | undefined {
  const full = Buffer.concat([Buffer.from(join(root, "/")), path]);
  const stats = lstatSync(full, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  const name = nameOfBytes(path);
  if (stats.isDirectory()) return { name, kind: "folder", bytes: 0, isDatabase: false };
  if (stats.isSymbolicLink()) return { name, kind: "link", bytes: 0, isDatabase: false };
  if (!stats.isFile()) return { name, kind: "other", bytes: 0, isDatabase: false };
  return { name, kind: "file", bytes: stats.size, isDatabase: stats.size >= magic.length && beginsAsDatabase(full) };
}

/** Never blocks: what was a file a moment ago may be a pipe now. */
function beginsAsDatabase(path: Buffer): boolean {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    const bytes = Buffer.alloc(magic.length);
    return readSync(fd, bytes, 0, bytes.length, 0) === bytes.length && bytes.equals(magic);
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const sorted = (entries: FoundEntry[]): FoundEntry[] =>
  entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
