/**
 * Files that are no longer where the tree has them: what appears elsewhere may be one of them, and then carries no
 * content.
 *
 * By its inode, a file is the same without being read if size and time of change are those with which it was read, and
 * the kernel told of no write to it at either name. Otherwise its content decides: the first piece and the size name
 * the candidate, and each piece is compared.
 */
import type { FileTree } from "../../core/files/file-tree.ts";
import { type FileStamp, sameContentStamp } from "./file-look.ts";
import type { FileStamps } from "./file-stamps.ts";

interface Moved {
  readonly path: string;
  readonly stamp: FileStamp;
}

export class MovedFiles {
  readonly #byInode = new Map<bigint, Moved>();
  readonly #byContent = new Map<string, string>();

  /** `isWritten`: the kernel told of a write to one of these files since they were read. */
  add(path: string, tree: FileTree, stamps: Pick<FileStamps, "get">, isWritten: (path: string) => boolean): void {
    for (const child of tree.below(path)) this.add(child, tree, stamps, isWritten);
    const entry = tree.get(path);
    if (entry?.kind !== "file") return;
    const stamp = stamps.get(path);
    if (stamp !== undefined && !isWritten(path)) this.#byInode.set(stamp.inode, { path, stamp });
    const first = entry.pieces[0];
    if (first !== undefined) this.#byContent.set(`${first.hash} ${entry.size}`, path);
  }

  /** Returns the former path of a file that was not written since it was read. */
  unwritten(stamp: FileStamp): string | undefined {
    const moved = this.#byInode.get(stamp.inode);
    return moved !== undefined && sameContentStamp(moved.stamp, stamp) ? moved.path : undefined;
  }

  /** Returns the former path of a file that may have the content of which this is the first piece. */
  like(firstHash: string, size: number): string | undefined {
    return this.#byContent.get(`${firstHash} ${size}`);
  }

  clear(): void {
    this.#byInode.clear();
    this.#byContent.clear();
  }
}
