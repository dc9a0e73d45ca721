/** Pieces of a file that is here already, each believed only by its hash. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, renameSync } from "node:fs";
import { pathOf } from "../../../capture/data-path.ts";
import { filePieceBytes, pieceCountOf, pieceLength } from "../../../core/files/file-entry.ts";
import { sha256 } from "../../../runtime/sha256.ts";

export interface LocalPieces {
  readonly size: number;
  /**
   * True if the file itself may be moved, because nothing else needs it, and changed: it has no other name (a hard
   * link), which would be changed with it.
   */
  readonly mayMove: boolean;
  /** Returns a piece; undefined: the file has another one there. */
  read(index: number, hash: string): Uint8Array | undefined;
  /** Moves the file itself; false: it is on another file system. */
  hasMovedTo(path: string): boolean;
  close(): void;
}

/** Opens a regular file below a folder; undefined: there is none. `movedSize`: it may be moved if it has that size. */
export function openPieces(
  folder: string | undefined,
  path: string,
  movedSize: number | undefined,
): LocalPieces | undefined {
  if (folder === undefined) return undefined;
  const from = pathOf(folder, path);
  let fd: number;
  try {
    if (!lstatSync(from).isFile()) return undefined;
    fd = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  const { size, nlink } = fstatSync(fd);
  return {
    size,
    mayMove: movedSize === size && nlink === 1,
    read(index, hash) {
      if (index >= pieceCountOf(size)) return undefined;
      const bytes = Buffer.alloc(pieceLength(size, index));
      for (let done = 0; done < bytes.length; ) {
        const count = readSync(fd, bytes, done, bytes.length - done, index * filePieceBytes + done);
        if (count === 0) return undefined;
        done += count;
      }
      return sha256(bytes).toString("hex") === hash ? bytes : undefined;
    },
    hasMovedTo(to) {
      try {
        renameSync(from, to);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EXDEV") throw error;
        return false;
      }
    },
    close: () => closeSync(fd),
  };
}
