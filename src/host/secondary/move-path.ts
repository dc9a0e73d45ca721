/**
 * Moves files and folders between the places of a host, which may be on different file systems (a volume for the data,
 * another for what is set aside).
 *
 * On one file system it is a rename: atomic and free. Otherwise it is a copy, durable under its name before the
 * original is removed: a crash leaves the original, or both, and the next move starts over. Free space is checked
 * first: a copy must not fill another application's disk.
 */
import { existsSync } from "node:fs";
import {
  constants,
  copyFile,
  mkdir,
  open,
  readlink,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  utimes,
} from "node:fs/promises";
import { dirname } from "node:path";
import { type FilePath, folderOf, textOf, withSuffix } from "../../capture/data-path.ts";
import { entriesBelow, type FolderEntry, joined } from "./folder-entries.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

/** A copy with this ending is incomplete. */
const copying = ".moving";

/** Not enough room for a copy on the other file system. */
export class NoRoomError extends OperatorError {
  readonly code = "ENOSPC";
  constructor(target: string, neededBytes: number, freeBytes: number) {
    super("resource", {
      found: `${target} is on another file system with ${freeBytes} bytes free, and ${neededBytes} are to be moved there`,
      advice:
        "free space there (stead never removes what may be the only copy), or put data, state and set_aside on one file system",
    });
  }
}

/** Does nothing if there is nothing at `from`. */
export async function moveFileIfThere(from: FilePath, to: FilePath): Promise<void> {
  if (await renamed(from, to)) return;
  await assertRoom(folderOf(to), (await stat(from)).size);
  const partial = withSuffix(to, copying);
  try {
    await copyFile(from, partial, constants.COPYFILE_FICLONE);
    await sync(partial);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
  await rename(partial, to);
  await sync(folderOf(to));
  await rm(from);
}

/** `partial`: the name of the incomplete copy, on the file system of `to`. */
export async function moveFolderIfThere(
  from: string,
  to: string,
  partial: string,
  bytes: () => Promise<number>,
): Promise<void> {
  if (await renamed(from, to)) return;
  await assertRoom(dirname(to), await bytes());
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial);
    for await (const entry of entriesBelow(from)) await copyEntry(entry, joined(partial, entry.name));
    for await (const { path, stats } of entriesBelow(partial)) if (!stats.isSymbolicLink()) await sync(path);
    await sync(partial);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
  await rename(partial, to);
  await sync(dirname(to));
  await rm(from, { recursive: true });
}

/** Returns false if it exists on another file system. */
async function renamed(from: FilePath, to: FilePath): Promise<boolean> {
  try {
    await rename(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // The system reports this before it checks whether there is something to move.
    if (code === "EXDEV") return !existsSync(from);
    if (code !== "ENOENT") throw error;
  }
  return true;
}

async function assertRoom(folder: FilePath, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < neededBytes) throw new NoRoomError(textOf(folder), neededBytes, bavail * bsize);
}

/** Copies with time stamps. */
async function copyEntry({ path, stats }: FolderEntry, to: Buffer): Promise<void> {
  if (stats.isSymbolicLink()) return symlink(await readlink(path, { encoding: "buffer" }), to);
  if (stats.isDirectory()) return void (await mkdir(to, { mode: stats.mode }));
  await copyFile(path, to, constants.COPYFILE_FICLONE);
  await utimes(to, stats.atime, stats.mtime);
}

async function sync(path: FilePath): Promise<void> {
  const file = await open(path, "r");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
