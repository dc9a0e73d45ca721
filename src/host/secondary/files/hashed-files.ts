/**
 * Files that were moved away, as they were when all of them were read for their checksum: what the restore takes back
 * of them afterwards is not read again to be hashed.
 *
 * Why what was found still holds: nothing writes there. The folder is in the host's own state folder, which no second
 * process of it shares (machine/folder-lock.ts), and the application is gone with everything that it started before a
 * file is moved (application/leftovers.ts). A write would show besides: a file is believed only if its inode, size, and
 * times of content and inode are those that it had before its first byte was read, and if it has no other name. It is
 * known in memory alone, so another process of this host reads all files again.
 *
 * Attacked in test/host/secondary/files/hashed-files.test.ts: "a file that was written since is read".
 */
import type { BigIntStats } from "node:fs";
import type { FileEntry } from "../../../core/files/file-entry.ts";
import { FileTree } from "../../../core/files/file-tree.ts";
import { sha256 } from "../../../runtime/sha256.ts";

export class HashedFiles {
  readonly #tree = new FileTree(sha256);
  /** Of files that have one name. Strings, since there may be a hundred thousand. */
  readonly #stamps = new Map<string, string>();

  /** `stats`: of a file, before it was read. */
  add(path: string, entry: FileEntry, stats: BigIntStats | undefined): void {
    this.#tree.add(path, entry);
    if (stats?.nlink === 1n) this.#stamps.set(path, stampOf(stats));
  }

  /** As the journal would have it. */
  get checksum(): Uint8Array {
    return this.#tree.checksum;
  }

  /** Returns the SHA-256 of each piece, hex; undefined: the file with these stats was not read, or has changed. */
  piecesOf(path: string, stats: BigIntStats): readonly string[] | undefined {
    if (this.#stamps.get(path) !== stampOf(stats)) return undefined;
    const entry = this.#tree.get(path);
    return entry?.kind === "file" ? entry.pieces.map(({ hash }) => hash) : undefined;
  }
}

const stampOf = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string => `${ino} ${size} ${mtimeNs} ${ctimeNs}`;
