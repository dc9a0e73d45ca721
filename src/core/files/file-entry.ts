/**
 * The files beside the databases, as the log and checkpoints describe them: one entry for each path of the tree.
 *
 * A file is a sequence of pieces of `filePieceBytes`, each known by its SHA-256, so that a rewrite in place or an
 * appended line writes what changed. The place of a piece says where a reader gets its bytes; it is no part of what the
 * tree means, and not of its checksum: a checkpoint moves pieces from the log into chunks.
 */

const usualPieceBytes = 256 * 1024;
/** Bytes of each piece of a file but the last, which has the rest. Part of the formats of log and checkpoints. */
export let filePieceBytes = usualPieceBytes;
let smallerFor = 0;

/** For the simulation, whose files are small: pieces of so many bytes until all of these are disposed of. */
export function withPiecesOf(bytes: number): Disposable {
  filePieceBytes = bytes;
  smallerFor += 1;
  return {
    [Symbol.dispose]: () => {
      smallerFor -= 1;
      if (smallerFor === 0) filePieceBytes = usualPieceBytes;
    },
  };
}

/** Where the bytes of a piece are. */
export type PiecePlace =
  /** In the vault, under this key; `offset`: bytes of the content before it, 0 if left out. */
  | { readonly kind: "chunk"; readonly key: string; readonly offset?: number }
  /** In the section `files` of the flush whose first record has this position. */
  | { readonly kind: "record"; readonly position: number };

export interface FilePiece {
  /** SHA-256 of its bytes, hex. */
  readonly hash: string;
  readonly place: PiecePlace;
}

/** A piece that is read from the vault. */
export interface WantedPiece {
  readonly place: PiecePlace;
  /** SHA-256, hex. */
  readonly hash: string;
  /** Bytes. */
  readonly length: number;
  /** Of the file, for messages. */
  readonly path: string;
}

/** Permissions and owner of a file or folder. */
export interface FileAttributes {
  /** The lower 12 bits: permissions, set-user-id, set-group-id, sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface FileData extends FileAttributes {
  /** Milliseconds since 1970; carried, and not part of the checksum. */
  readonly mtimeMs: number;
  readonly size: number;
  /** `pieceCountOf(size)` of them. */
  readonly pieces: readonly FilePiece[];
}

export type FileEntry =
  | ({ readonly kind: "file" } & FileData)
  /** A symbolic link. `target`: its bytes, escaped as a name is (core/database-name.ts). Never followed. */
  | { readonly kind: "link"; readonly target: string }
  | ({ readonly kind: "folder" } & FileAttributes);

export const pieceCountOf = (size: number): number => Math.ceil(size / filePieceBytes);

/** Returns the number of bytes of a piece of a file of this size. */
export const pieceLength = (size: number, index: number): number =>
  Math.min(filePieceBytes, size - index * filePieceBytes);
