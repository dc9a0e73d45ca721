/**
 * What a flush changes in the files beside the databases. The changes of a flush are taken in order, and as a whole.
 *
 * A reader that has contents (a secondary, a restore) works in two steps: it makes the content of every `put-file` from
 * the state before the flush, and then puts entries in place in order. So two files can exchange their names in one
 * flush, and a rename carries no content.
 */
import type { FileAttributes } from "./file-entry.ts";

/** Where the bytes of a piece come from. */
export type PieceSource =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  /** A chunk of the vault. */
  | { readonly kind: "chunk"; readonly key: string }
  /** The piece with this index of the file `base`, as it was before this flush. */
  | { readonly kind: "same"; readonly index: number };

export interface ChangePiece {
  /** SHA-256 of its bytes, hex. */
  readonly hash: string;
  readonly source: PieceSource;
}

export interface PutFile extends FileAttributes {
  readonly kind: "put-file";
  readonly path: string;
  readonly mtimeMs: number;
  readonly size: number;
  /** The file, before this flush, that has the pieces with source `same`. */
  readonly base?: string | undefined;
  readonly pieces: readonly ChangePiece[];
}

/** A put over an entry of another kind replaces it; over a folder, with everything in it. */
export type FileChange =
  | PutFile
  | { readonly kind: "put-link"; readonly path: string; readonly target: string }
  | ({ readonly kind: "put-folder"; readonly path: string } & FileAttributes)
  /** Also removes everything below it. Of a path that does not exist it is no error. */
  | { readonly kind: "remove"; readonly path: string };
