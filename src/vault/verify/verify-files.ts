/** Reads the files of a checkpoint: its tree and every content that the tree names, each once. */
import { pieceLength, type WantedPiece } from "../../core/files/file-entry.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { readTree } from "../checkpoint/checkpoint-files.ts";
import { PieceReader } from "../checkpoint/piece-reader.ts";
import type { CheckpointManifest } from "../checkpoint/checkpoint-manifest.ts";
import { DamagedChunkError, UnknownFormatError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import { damage, type Finding } from "./finding.ts";

/** By key of the chunk, and by the offset of the piece in it: whether it is as it was written. */
export type VerifiedPieces = Map<string, Map<number, boolean>>;

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
  for (const key of manifest.files?.chunks ?? []) verified.set(key, new Map());
  let tree: FileTree | undefined;
  try {
    tree = await readTree(store, manifest);
  } catch (error) {
    findings.push(findingOf(error));
    return false;
  }
  const reader = new PieceReader({ store });
  let whole = true;
  for (const piece of piecesOf(tree)) {
    work.signal?.throwIfAborted();
    const { key, offset = 0 } = piece.place;
    const inChunk = verified.get(key) ?? new Map<number, boolean>();
    verified.set(key, inChunk);
    const isWell = inChunk.get(offset) ?? (await isPieceWell(work, reader, piece));
    inChunk.set(offset, isWell);
    whole = whole && isWell;
  }
  return whole;
}

/** Pieces of all files, by the order of paths: small ones that share a chunk follow each other. */
export function* piecesOf(tree: FileTree | undefined): Generator<PieceInChunk> {
  for (const [path, entry] of [...(tree?.entries() ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (entry.kind !== "file") continue;
    for (const [index, { hash, place }] of entry.pieces.entries())
      if (place.kind === "chunk") yield { hash, place, length: pieceLength(entry.size, index), path };
  }
}

export type PieceInChunk = WantedPiece & { readonly place: { readonly kind: "chunk" } };

async function isPieceWell(
  { findings, onRead }: FilesWork,
  reader: PieceReader,
  piece: PieceInChunk,
): Promise<boolean> {
  try {
    await reader.read(piece);
    return true;
  } catch (error) {
    const finding = findingOf(error);
    // Pieces of one damaged chunk have one finding.
    if (!findings.some(({ kind, key }) => kind === finding.kind && key === finding.key)) findings.push(finding);
    return false;
  } finally {
    onRead(piece.length);
  }
}

/** Throws other errors. */
function findingOf(error: unknown): Finding {
  if (error instanceof DamagedChunkError) return damage("damaged-chunk", error.key, error.message);
  if (error instanceof UnknownFormatError) return damage("unknown-format", error.key, error.message);
  throw error;
}
