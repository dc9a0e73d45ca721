/**
 * The files beside the databases in a checkpoint: a tree of entries whose contents are in chunks.
 *
 * Most contents are in chunks already, written by the journal before the flush that named them; the checkpoint names
 * the same. What a flush carried inline is written as a chunk here, because the flush is removed some checkpoints
 * later. A content that the checkpoint before has in a chunk is never written again, so the place of a piece in the
 * primary's memory may name a record that is gone by then: it is not needed any more.
 *
 * Contents are proven when they are written, by their hash, and when they are read.
 */
import type { FilePiece } from "../../core/files/file-entry.ts";
import { pieceLength } from "../../core/files/file-entry.ts";
import { FileTree } from "../../core/files/file-tree.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { DamagedChunkError, UnknownFormatError } from "../errors.ts";
import { MalformedBytes } from "../log/bytes.ts";
import type { Position } from "../record.ts";
import type { Store } from "../store/store.ts";
import { checkpointConcurrency } from "../limits.ts";
import { chunkNamesOf } from "../store/chunk-names.ts";
import type { Compression } from "./chunk-codec.ts";
import { type CheckpointManifest, type ManifestFiles } from "./checkpoint-manifest.ts";
import { inParallel } from "./in-parallel.ts";
import type { Reuse } from "./reuse.ts";
import { readChunkOf, writeChunkOf } from "./stored-chunk.ts";
import { decodeTree, encodeTree, type NamedEntry } from "./tree-codec.ts";

/** The files as they are at the checkpoint's position. */
export interface CheckpointFiles {
  /** Does not change while the checkpoint is written. */
  readonly tree: FileTree;
  /** Returns a piece of a file, as it is in the tree; called for what is in no chunk, or whose chunk is damaged. */
  read(path: string, index: number): Promise<Uint8Array>;
}

export interface StoreFilesOptions {
  readonly store: Store;
  readonly position: Position;
  readonly files: CheckpointFiles;
  /** Of the newest checkpoint. */
  readonly before: FileTree | undefined;
  readonly reuse: Reuse;
  readonly compression: Compression;
  readonly signal?: AbortSignal | undefined;
  readonly pace?: ((bytes: number) => Promise<void>) | undefined;
  readonly onPiece: (bytes: number) => void;
}

export interface StoredFiles {
  readonly files: ManifestFiles;
  /** Each piece is in a chunk. */
  readonly tree: FileTree;
  readonly chunksWritten: number;
}

/** A piece and the keys that it may have already. */
interface Job {
  readonly path: string;
  readonly index: number;
  readonly length: number;
  readonly piece: FilePiece;
  key: string | undefined;
}

/** Throws what the store and `read` throw, and DamagedChunkError for a content that is not that of the tree. */
export async function storeFiles(options: StoreFilesOptions): Promise<StoredFiles> {
  const { store, position, files, before, reuse, compression, signal, pace, onPiece } = options;
  const jobs = jobsOf(files.tree);
  const known = keysByHash(before, new Set(jobs.flatMap(({ piece }) => (isInChunk(piece) ? [] : [piece.hash]))));
  /** Equal contents are written once: later ones wait for the first. */
  const writing = new Map<string, Promise<string>>();
  let written = 0;
  const write = async ({ path, index, piece }: Job, length: number): Promise<string> => {
    await pace?.(length);
    const content = await files.read(path, index);
    const found = sha256(content).toString("hex");
    if (found !== piece.hash || content.length !== length)
      throw new RangeError(`piece ${index} of ${path} has SHA-256 ${found}, not ${piece.hash}`);
    written += 1;
    return writeChunkOf(store, position, content, { owner: path, compression });
  };
  await inParallel(checkpointConcurrency, jobs, async (job) => {
    signal?.throwIfAborted();
    const { path, length, piece } = job;
    const key = isInChunk(piece) ? piece.place.key : known.get(piece.hash);
    const again = await reuse.again(key, length, path);
    if (again === undefined && !writing.has(piece.hash)) writing.set(piece.hash, write(job, length));
    job.key = again ?? (await writing.get(piece.hash));
    onPiece(length);
  });
  const tree = placed(files.tree, jobs);
  const chunks: string[] = [];
  for (const part of encodeTree(tree.entries())) {
    signal?.throwIfAborted();
    await pace?.(part.length);
    const existing = await reuse.find(chunkNamesOf(store).of(part), part.length, "the files' tree");
    if (existing === undefined) written += 1;
    chunks.push(existing ?? (await writeChunkOf(store, position, part, { owner: "the files' tree", compression })));
  }
  const { checksum, size: count, bytes } = tree;
  return { files: { checksum, count, bytes, chunks }, tree, chunksWritten: written };
}

const isInChunk = (
  piece: FilePiece,
): piece is FilePiece & { readonly place: { readonly kind: "chunk"; readonly key: string } } =>
  piece.place.kind === "chunk";

function jobsOf(tree: FileTree): Job[] {
  const jobs: Job[] = [];
  for (const [path, entry] of tree.entries()) {
    if (entry.kind !== "file") continue;
    for (const [index, piece] of entry.pieces.entries())
      jobs.push({ path, index, length: pieceLength(entry.size, index), piece, key: undefined });
  }
  return jobs;
}

function keysByHash(tree: FileTree | undefined, wanted: ReadonlySet<string>): Map<string, string> {
  const keys = new Map<string, string>();
  if (tree === undefined || wanted.size === 0) return keys;
  for (const [, entry] of tree.entries()) {
    if (entry.kind !== "file") continue;
    for (const { hash, place } of entry.pieces)
      if (place.kind === "chunk" && wanted.has(hash)) keys.set(hash, place.key);
  }
  return keys;
}

/** The tree with every piece in its chunk; `jobs`: in the order of its entries. */
function placed(tree: FileTree, jobs: readonly Job[]): FileTree {
  let next = 0;
  const entries: NamedEntry[] = [];
  for (const [path, entry] of tree.entries()) {
    if (entry.kind !== "file") entries.push([path, entry]);
    else {
      const pieces = entry.pieces.map(
        ({ hash }): FilePiece => ({ hash, place: { kind: "chunk", key: jobs[next++]?.key ?? "" } }),
      );
      entries.push([path, { ...entry, pieces }]);
    }
  }
  return new FileTree(sha256, entries);
}

/** Returns the keys of the chunks with the contents of a tree. */
export function keysOfPieces(tree: FileTree): Set<string> {
  const keys = new Set<string>();
  for (const [, entry] of tree.entries())
    if (entry.kind === "file") for (const piece of entry.pieces) if (isInChunk(piece)) keys.add(piece.place.key);
  return keys;
}

/** Returns all keys that a manifest and its tree name for files. */
export function* chunksOfFiles(
  manifest: Pick<CheckpointManifest, "files"> | undefined,
  tree: FileTree | undefined,
): Generator<string> {
  yield* manifest?.files?.chunks ?? [];
  if (tree !== undefined) yield* keysOfPieces(tree);
}

/**
 * Returns the files of a checkpoint; undefined: it has none. Throws DamagedChunkError, UnknownFormatError, StoreError.
 */
export async function readTree(
  store: Store,
  { files }: Pick<CheckpointManifest, "files">,
): Promise<FileTree | undefined> {
  if (files === undefined) return undefined;
  const entries: NamedEntry[] = [];
  for (const key of files.chunks) entries.push(...(await readTreePart(store, key)));
  const tree = new FileTree(sha256, entries);
  const [found, expected] = [tree.checksum, files.checksum].map((sum) => Buffer.from(sum).toString("hex"));
  if (found !== expected)
    throw new DamagedChunkError(files.chunks[0] ?? "", `files with checksum ${found}`, `${expected}`, treeName);
  return tree;
}

const treeName = "the files' tree";

/** Returns the entries in one chunk of a tree. Throws as `readTree`. */
export async function readTreePart(store: Store, key: string): Promise<NamedEntry[]> {
  try {
    return decodeTree(await readChunkOf(store, key, treeName, undefined));
  } catch (error) {
    if (error instanceof MalformedBytes) throw new DamagedChunkError(key, error.found, error.expected, treeName);
    throw error;
  }
}

/** Returns a piece, proven by its hash. Throws DamagedChunkError, UnknownFormatError, StoreError. */
export async function readPiece(
  store: Store,
  {
    key,
    hash,
    length,
    path,
  }: { readonly key: string; readonly hash: string; readonly length: number; readonly path: string },
): Promise<Uint8Array> {
  const content = await readChunkOf(store, key, path, length);
  const found = sha256(content).toString("hex");
  if (found !== hash) throw new DamagedChunkError(key, `a content with SHA-256 ${found}`, hash, path);
  return content;
}

/**
 * The files of the checkpoint on which the next one builds. Damage there costs writing everything again; what the
 * checkpoint refers to is then only what exists and is read again.
 */
export async function treeBefore(
  store: Store,
  base: CheckpointManifest | undefined,
  given: FileTree | undefined,
): Promise<FileTree | undefined> {
  if (base?.files === undefined) return undefined;
  if (given !== undefined && Buffer.compare(given.checksum, base.files.checksum) === 0) return given;
  try {
    return await readTree(store, base);
  } catch (error) {
    if (error instanceof DamagedChunkError || error instanceof UnknownFormatError) return undefined;
    throw error;
  }
}
