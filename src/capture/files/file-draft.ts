/**
 * What the next flush changes in the files, while it is being made: the last look at each path counts.
 *
 * The order of its changes: removals, then folders from the top down, then files and links. Contents are taken from the
 * state before the flush (core/files/file-change.ts), so no order among files matters.
 */
import type { FileChange } from "../../core/files/file-change.ts";
import { type FileTree, folderOfPath } from "../../core/files/file-tree.ts";

const order: readonly FileChange["kind"][] = ["remove", "put-folder", "put-file", "put-link"];

/** True if a folder on the way to the path is among the others. */
function isBelow(path: string, others: ReadonlySet<string>): boolean {
  for (let at = folderOfPath(path); at !== ""; at = folderOfPath(at)) if (others.has(at)) return true;
  return false;
}

export class FlushDraft {
  readonly #changes = new Map<string, FileChange>();
  /** Paths that it puts, by their folders. */
  readonly #put = new Map<string, Set<string>>();

  get(path: string): FileChange | undefined {
    return this.#changes.get(path);
  }

  /** Returns the paths directly below a folder that it puts. */
  putBelow(folder: string): Iterable<string> {
    return this.#put.get(folder) ?? [];
  }

  /** Returns the change that it replaces. */
  set(change: FileChange): FileChange | undefined {
    const before = this.delete(change.path);
    this.#changes.set(change.path, change);
    if (change.kind === "remove") return before;
    const folder = folderOfPath(change.path);
    const beside = this.#put.get(folder);
    if (beside === undefined) this.#put.set(folder, new Set([change.path]));
    else beside.add(change.path);
    return before;
  }

  /** The path is as the tree has it. Returns the change that is not made after all. */
  delete(path: string): FileChange | undefined {
    const before = this.#changes.get(path);
    if (before === undefined) return undefined;
    this.#changes.delete(path);
    const folder = folderOfPath(path);
    const beside = this.#put.get(folder);
    if (beside?.delete(path) === true && beside.size === 0) this.#put.delete(folder);
    return before;
  }

  /** Nothing is at the path any more, nor below it. Returns the changes that are not made after all. */
  remove(path: string, tree: FileTree): FileChange[] {
    const before = this.delete(path);
    const dropped = before === undefined ? [] : [before];
    const hasBelow = tree.below(path)[Symbol.iterator]().next().done !== true;
    if (hasBelow || before?.kind === "put-folder")
      for (const [each, change] of this.#changes)
        if (each.startsWith(`${path}/`)) {
          this.delete(each);
          dropped.push(change);
        }
    if (hasBelow || tree.get(path) !== undefined) this.set({ kind: "remove", path });
    return dropped;
  }

  /** All changes, in their order. The draft is empty afterwards. */
  take(): FileChange[] {
    const changes = [...this.#changes.values()];
    this.#changes.clear();
    this.#put.clear();
    changes.sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || (a.path < b.path ? -1 : 1));
    const removed = new Set(changes.flatMap(({ kind, path }) => (kind === "remove" ? [path] : [])));
    return changes.filter(({ kind, path }) => kind !== "remove" || !isBelow(path, removed));
  }
}
