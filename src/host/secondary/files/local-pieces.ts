/** Pieces of a file that is here already, each believed only by its hash. */
import { type BigIntStats, constants } from "node:fs";
import { pathOf } from "../../../capture/data-path.ts";
import { filePieceBytes, pieceCountOf, pieceLength } from "../../../core/files/file-entry.ts";
import type { FileSystem } from "../../../runtime/file-system.ts";
import { sha256 } from "../../../runtime/sha256.ts";

export interface LocalPieces {
  readonly size: number;
  /**
   * True if the file itself may be moved, because nothing else needs it, and changed: it has no other name (a hard
   * link), which would be changed with it.
   */
  readonly mayMove: boolean;
  /** True if the file has this piece there. */
  has(index: number, hash: string): boolean;
  /** Returns a piece; undefined: the file has another one there. */
  read(index: number, hash: string): Uint8Array | undefined;
  /** Moves the file itself; false: it is on another file system. */
  hasMovedTo(path: string): boolean;
  close(): void;
}

/** Returns the hashes of a file's pieces if it was read before and is the same still (hashed-files.ts). */
export type KnownPieces = (path: string, stats: BigIntStats) => readonly string[] | undefined;

export interface PiecesAt {
  readonly fs: FileSystem;
  /** Undefined: there is no such folder. */
  readonly folder: string | undefined;
  readonly path: string;
  /** The file may be moved if it has this size. */
  readonly movedSize?: number;
  /** Default: no file was read before. */
  readonly known?: KnownPieces | undefined;
}

/** Opens a regular file below a folder; undefined: there is none. */
export function openPieces({ fs, folder, path, movedSize, known }: PiecesAt): LocalPieces | undefined {
  if (folder === undefined) return undefined;
  const from = pathOf(folder, path);
  let fd: number;
  try {
    if (!fs.lstatSync(from).isFile()) return undefined;
    fd = fs.openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  const stats = fs.fstatSync(fd, { bigint: true });
  const size = Number(stats.size);
  const hashes = known?.(path, stats);
  const read: LocalPieces["read"] = (index, hash) => {
    if (index >= pieceCountOf(size) || (hashes !== undefined && hashes[index] !== hash)) return undefined;
    const bytes = Buffer.alloc(pieceLength(size, index));
    for (let done = 0; done < bytes.length; ) {
      const count = fs.readSync(fd, bytes, done, bytes.length - done, index * filePieceBytes + done);
      if (count === 0) return undefined;
      done += count;
    }
    return hashes !== undefined || sha256(bytes).toString("hex") === hash ? bytes : undefined;
  };
  return {
    size,
    mayMove: movedSize === size && stats.nlink === 1n,
    has: (index, hash) => (hashes === undefined ? read(index, hash) !== undefined : hashes[index] === hash),
    read,
    hasMovedTo(to) {
      try {
        fs.renameSync(from, to);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
        return false;
      }
    },
    close: () => fs.closeSync(fd),
  };
}
