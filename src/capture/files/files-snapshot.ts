/**
 * The files at one position, readable while the application continues: for a checkpoint. A piece is read from the
 * folder as long as it is still there, which its hash shows, and otherwise from where the vault has it.
 */
import { type FilePiece, pieceLength, type WantedPiece } from "../../core/files/file-entry.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { type FileSystem, systemFiles } from "../../runtime/file-system.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { pathOf } from "../data-path.ts";
import { readPieceAt } from "./read-pieces.ts";

/** Resolves with the bytes of a piece in the vault, proven by its hash. */
export type FetchPiece = (wanted: WantedPiece) => Promise<Uint8Array>;

export interface FilesSnapshot {
  readonly tree: FileTree;
  /** Returns a piece of a file of the tree. Rejects if it is nowhere any more. */
  read(path: string, index: number): Promise<Uint8Array>;
}

export function snapshotOfFiles(
  root: string,
  tree: FileTree,
  fetch: FetchPiece,
  fs: FileSystem = systemFiles,
): FilesSnapshot {
  return {
    tree,
    async read(path, index) {
      const entry = tree.get(path);
      const piece: FilePiece | undefined = entry?.kind === "file" ? entry.pieces[index] : undefined;
      if (entry?.kind !== "file" || piece === undefined) throw new RangeError(`${path} has no piece ${index}`);
      const length = pieceLength(entry.size, index);
      const local = await readPieceAt(pathOf(root, path), index, length, fs).catch(() => undefined);
      if (local !== undefined && sha256(local).toString("hex") === piece.hash) return local;
      return fetch({ ...piece, length, path });
    },
  };
}
