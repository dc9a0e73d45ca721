/** Files in memory, for checkpoints and the log: contents by path, and the tree that they make. */
import { filePieceBytes, type FileEntry, pieceCountOf } from "../../../src/core/files/file-entry.ts";
import { FileTree } from "../../../src/core/files/file-tree.ts";
import type { PutFile } from "../../../src/core/files/file-change.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";
import type { CheckpointFiles } from "../../../src/vault/checkpoint/checkpoint-files.ts";

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

export const hexHash = (bytes: Uint8Array): string => sha256(bytes).toString("hex");

export function piecesOf(content: Uint8Array): Uint8Array[] {
  return Array.from({ length: pieceCountOf(content.length) }, (_, index) =>
    content.subarray(index * filePieceBytes, (index + 1) * filePieceBytes),
  );
}

/** A put of this content, inline. */
export const putOf = (path: string, content: Uint8Array | string, mode = 0o640): PutFile => {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  const pieces = piecesOf(bytes).map((piece) => ({
    hash: hexHash(piece),
    source: { kind: "inline", bytes: new Uint8Array(piece) } as const,
  }));
  return { kind: "put-file", path, mode, ...owner, mtimeMs: 1_700_000_000_000, size: bytes.length, pieces };
};

export class MemoryFiles implements CheckpointFiles {
  readonly tree = new FileTree(sha256);
  readonly contents = new Map<string, Uint8Array>();
  /** How many pieces were read. */
  reads = 0;

  put(path: string, content: Uint8Array | string, position: number): void {
    this.contents.set(path, typeof content === "string" ? Buffer.from(content) : content);
    this.tree.apply([putOf(path, content)], position);
  }

  /** Of one piece, which is in a chunk. */
  putIn(path: string, content: Uint8Array, key: string): void {
    this.contents.set(path, content);
    const pieces = [{ hash: hexHash(content), source: { kind: "chunk", key } as const }];
    this.tree.apply([{ ...putOf(path, content), pieces }], 1);
  }

  read(path: string, index: number): Promise<Uint8Array> {
    this.reads += 1;
    const piece = piecesOf(this.contents.get(path) ?? new Uint8Array(0))[index];
    return Promise.resolve(new Uint8Array(piece ?? []));
  }
}

export const entriesOf = (tree: FileTree | undefined): Map<string, FileEntry["kind"]> =>
  new Map([...(tree?.entries() ?? [])].map(([path, { kind }]) => [path, kind]));
