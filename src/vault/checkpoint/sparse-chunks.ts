/**
 * Chunks with small pieces of which little is in use: pieces were removed or changed since, or a checkpoint had only a
 * few new ones. A few of them cost nothing; many make a restore read many chunks. Then all of them are written again,
 * which at most doubles what a checkpoint writes of small pieces in the long run.
 */
import { chunkBytes } from "../limits.ts";
import { packedBytesMax } from "./piece-packer.ts";

/** Of a chunk; less is little. */
const usedBytesMin = chunkBytes / 4;
/** So many may stay. */
const sparseMax = 64;

/** A piece, and the chunk that has it. */
export interface UsedPiece {
  readonly key: string;
  readonly length: number;
}

/** Returns the keys of the chunks whose pieces are to be written again; mostly none. */
export function sparseChunks(pieces: Iterable<UsedPiece>): ReadonlySet<string> {
  const used = new Map<string, number>();
  const large = new Set<string>();
  for (const { key, length } of pieces) {
    used.set(key, (used.get(key) ?? 0) + length);
    if (length > packedBytesMax) large.add(key);
  }
  const sparse = [...used].filter(([key, bytes]) => bytes < usedBytesMin && !large.has(key)).map(([key]) => key);
  return new Set(sparse.length > sparseMax ? sparse : []);
}
