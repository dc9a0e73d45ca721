/** The files beside the databases in the copy of a rehearsal: an application may not start without them. */
import { chmodSync, lstatSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { folderOf, pathOf } from "../../capture/data-path.ts";
import { EventLoopBudget } from "../../runtime/event-loop-budget.ts";
import { bytesOfName } from "../../core/database-name.ts";
import type { FileTree } from "../../core/files/file-tree.ts";

/** Returns the files of the tree that this host has written. */
export function pathsOfFiles(files: FileTree | undefined, dataFolder: string): string[] {
  return [...(files?.entries() ?? [])].flatMap(([path, { kind }]) =>
    kind === "file" && isThere(dataFolder, path) ? [path] : [],
  );
}

/** Makes links and folders, and gives files and folders their permissions, once the contents are copied. */
export async function completeFiles(files: FileTree, dataFolder: string, copy: string): Promise<void> {
  const budget = new EventLoopBudget();
  const entries = [...files.entries()].filter(([path]) => isThere(dataFolder, path));
  for (const [path, entry] of entries) {
    const target = pathOf(copy, path);
    if (entry.kind === "folder") mkdirSync(target, { recursive: true });
    if (entry.kind === "link") {
      mkdirSync(folderOf(target), { recursive: true });
      rmSync(target, { force: true });
      symlinkSync(Buffer.from(bytesOfName(entry.target)), target);
    }
    await budget.yieldIfDue();
  }
  // The innermost first: a folder may be closed to its owner.
  for (const [path, entry] of entries.sort(([a], [b]) => b.length - a.length))
    if (entry.kind !== "link") chmodSync(pathOf(copy, path), entry.mode);
}

/** A host whose patterns leave out a file has not written it. */
const isThere = (folder: string, path: string): boolean =>
  lstatSync(pathOf(folder, path), { throwIfNoEntry: false }) !== undefined;
