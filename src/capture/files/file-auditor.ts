/**
 * Goes round all files while the primary serves, a few with each tick, and has examined what differs from the tree
 * although the kernel told nothing: writes through a shared mapping, or through another name of the file (a hard link)
 * in a folder that is not watched. Files that a replica wrote are read once, so that a difference can be seen later.
 */
import { nameOfBytes } from "../../core/database-name.ts";
import type { FileMatcher } from "../../core/files/file-pattern.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { type FileSystem, systemFiles } from "../../runtime/file-system.ts";
import { type FilePath, pathOf } from "../data-path.ts";
import { isAbsent, findAt, sameStamp } from "./file-look.ts";
import type { FileStamps } from "./file-stamps.ts";
import type { PendingPaths } from "./pending-paths.ts";

export interface FileAuditorParts {
  readonly root: string;
  /** Default: that of this machine. */
  readonly fs?: FileSystem | undefined;
  readonly matcher: FileMatcher;
  readonly tree: FileTree;
  readonly stamps: Pick<FileStamps, "get">;
  readonly pending: PendingPaths;
}

/** After the start, when an application has more urgent things to do. */
const firstAfterMs = 10_000;
/** From the end of one round to the beginning of the next. */
const everyMs = 10 * 60_000;
/** In one tick: a few hundred in a second, at a hundredth of a processor. */
const entriesMax = 2;

export class FileAuditor {
  readonly #parts: FileAuditorParts;
  #dueAtMs: number;
  /** The rest of the round. */
  #paths: string[] = [];

  constructor(parts: FileAuditorParts, nowMs: number) {
    this.#parts = parts;
    this.#dueAtMs = nowMs + firstAfterMs;
  }

  /** Looks at the next few. Sync, about ten microseconds each; a folder is listed at once. */
  tick(nowMs: number): void {
    if (nowMs < this.#dueAtMs) return;
    const { tree, pending } = this.#parts;
    if (this.#paths.length === 0) this.#paths = ["", ...tree.paths()];
    // One that differs ends the tick: the next flush examines it, and may read all of it.
    for (let count = 0; count < entriesMax && !pending.isAny; count++) {
      const path = this.#paths.pop();
      if (path !== undefined) this.#look(path);
    }
    if (this.#paths.length === 0) this.#dueAtMs = nowMs + everyMs;
  }

  #look(path: string): void {
    const { root, fs, tree, stamps, pending } = this.#parts;
    const entry = tree.get(path);
    if (path === "" || entry?.kind === "folder") return this.#list(path);
    const found = findAt(pathOf(root, path), fs);
    // Its removal is told, or was missed with the rest of its folder.
    if (entry === undefined || found === undefined) return;
    const stamp = stamps.get(path);
    if (found.kind === "file" && stamp !== undefined && sameStamp(found.stamp, stamp)) return;
    if (found.kind === "link" && entry.kind === "link" && found.target === entry.target) return;
    pending.note(path);
  }

  #list(folder: string): void {
    const { root, fs, matcher, tree, pending } = this.#parts;
    const present = new Set(
      namesIn(pathOf(root, folder === "" ? "." : folder), fs).map((name) =>
        folder === "" ? name : `${folder}/${name}`,
      ),
    );
    for (const path of present) if (tree.get(path) === undefined && matcher.visits(path)) pending.noteNew(path, true);
    for (const path of tree.below(folder)) if (!present.has(path)) pending.noteGone(path);
  }
}

/** Returns names of everything in a folder; none if it is not there any more. */
export function namesIn(path: FilePath, fs: FileSystem = systemFiles): string[] {
  try {
    return fs.readdirSync(path, "buffer").map(nameOfBytes);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}
