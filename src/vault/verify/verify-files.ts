/** Reads the files of a checkpoint: its tree and every content that the tree names, each once. */
import { pieceLength } from "../../core/files/file-entry.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { readPiece, readTree } from "../checkpoint/checkpoint-files.ts";
import type { CheckpointManifest } from "../checkpoint/checkpoint-manifest.ts";
import { DamagedChunkError, UnknownFormatError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import { damage, type Finding } from "./finding.ts";

/** By key of the chunk: whether it is as it was written. */
export type VerifiedPieces = Map<string, boolean>;

export interface FilesWork {
  readonly store: Store;
  readonly manifest: CheckpointManifest;
  readonly findings: Finding[];
  readonly onRead: (bytes: number) => void;
  readonly signal?: AbortSignal | undefined;
}

/** Returns true if the checkpoint has no files, or all of them as they were written. */
export async function verifyFiles(work: FilesWork, verified: VerifiedPieces): Promise<boolean> {
  const { store, manifest, findings } = work;
  for (const key of manifest.files?.chunks ?? []) verified.set(key, true);
  let tree: FileTree | undefined;
  try {
    tree = await readTree(store, manifest);
  } catch (error) {
    findings.push(findingOf(error));
    return false;
  }
  let whole = true;
  for (const [path, entry] of tree?.entries() ?? []) {
    if (entry.kind !== "file") continue;
    for (const [index, { hash, place }] of entry.pieces.entries()) {
      work.signal?.throwIfAborted();
      if (place.kind !== "chunk") continue;
      const known = verified.get(place.key);
      const length = pieceLength(entry.size, index);
      const isWell = known ?? (await isPieceWell(work, { key: place.key, hash, length, path }));
      verified.set(place.key, isWell);
      whole = whole && isWell;
    }
  }
  return whole;
}

async function isPieceWell(
  { store, findings, onRead }: FilesWork,
  piece: { readonly key: string; readonly hash: string; readonly length: number; readonly path: string },
): Promise<boolean> {
  try {
    await readPiece(store, piece);
    onRead(piece.length);
    return true;
  } catch (error) {
    findings.push(findingOf(error));
    return false;
  }
}

/** Throws other errors. */
function findingOf(error: unknown): Finding {
  if (error instanceof DamagedChunkError) return damage("damaged-chunk", error.key, error.message);
  if (error instanceof UnknownFormatError) return damage("unknown-format", error.key, error.message);
  throw error;
}
