/**
 * Writes the files beside the databases into a checkpoint.
 *
 * Most contents are in chunks already, written by the journal before the flush that named them, or by the checkpoint
 * before; this one names the same. What a flush carried inline is written as a chunk here, because the flush is removed
 * some checkpoints later. A content that the checkpoint before has in a chunk is never written again, so the place of a
 * piece in the primary's memory may name a record that is gone by then: it is not needed any more.
 *
 * Contents are proven by their hash when they are written. With a hundred thousand files each step gives the event loop
 * its turns: the same loop answers requests and renews the lease.
 */
import type { FileEntry, FilePiece, PiecePlace } from "../../core/files/file-entry.ts";
import { pieceLength } from "../../core/files/file-entry.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { EventLoopBudget } from "../../runtime/event-loop-budget.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { sortInTurns } from "../../runtime/sort-in-turns.ts";
import { checkpointConcurrency } from "../limits.ts";
import type { Position } from "../record.ts";
import { chunkNamesOf } from "../store/chunk-names.ts";
import type { Store } from "../store/store.ts";
import { type CheckpointFiles, treeName } from "./checkpoint-files.ts";
import type { ChunkPace } from "./checkpoint-pace.ts";
import type { ManifestFiles } from "./checkpoint-manifest.ts";
import type { Compression } from "./chunk-codec.ts";
import { inParallel } from "../../runtime/in-parallel.ts";
import { packedBytesMax, PiecePacker } from "./piece-packer.ts";
import type { NameableChunks, Reuse } from "./reuse.ts";
import { sparseChunks, type UsedPiece } from "./sparse-chunks.ts";
import { writeChunkOf } from "./stored-chunk.ts";
import { encodeTree, type NamedEntry } from "./tree-codec.ts";

export interface StoreFilesOptions {
  readonly store: Store;
  readonly position: Position;
  readonly files: CheckpointFiles;
  /** Of the newest checkpoint. */
  readonly before: FileTree | undefined;
  readonly reuse: Reuse;
  readonly nameable: Pick<NameableChunks, "has">;
  readonly compression: Compression;
  readonly signal?: AbortSignal | undefined;
  readonly pace: ChunkPace;
  readonly onPiece: (bytes: number) => void;
}

export interface StoredFiles {
  readonly files: ManifestFiles;
  /** Each piece is in a chunk. */
  readonly tree: FileTree;
  readonly chunksWritten: number;
}

type ChunkPlace = PiecePlace & { readonly kind: "chunk" };

/** A piece, and where it is in the end. */
interface Job {
  readonly path: string;
  readonly index: number;
  readonly length: number;
  readonly piece: FilePiece;
  place: PiecePlace | undefined;
}

/** Throws what the store and `read` throw, and RangeError for a content that is not that of the tree. */
export async function storeFiles(options: StoreFilesOptions): Promise<StoredFiles> {
  const { store, position, files, reuse, compression, signal, pace } = options;
  const jobs = await jobsOf(files.tree);
  const work = new PieceWork(options, await placesBefore(options, jobs));
  await work.place(jobs);
  const tree = await placed(files.tree, jobs);
  const entries = await sortInTurns<NamedEntry>(tree.entries(), ([a], [b]) => (a < b ? -1 : 1));
  const budget = new EventLoopBudget();
  const chunks: string[] = [];
  let written = work.written;
  for (const part of encodeTree(entries)) {
    signal?.throwIfAborted();
    const key = await pace.run(async () => {
      const existing = await reuse.find(chunkNamesOf(store).of(part), part.length, treeName);
      if (existing !== undefined) return existing;
      written += 1;
      return writeChunkOf(store, position, part, { owner: treeName, compression });
    });
    chunks.push(key);
    await budget.yieldIfDue();
  }
  const { checksum, size: count, bytes } = tree;
  return { files: { checksum, count, bytes, chunks }, tree, chunksWritten: written };
}

/** Finds a chunk for each piece, or writes one. */
class PieceWork {
  readonly #options: StoreFilesOptions;
  readonly #before: ReadonlyMap<string, ChunkPlace>;
  readonly #packer: PiecePacker;
  /** By key: the key of a chunk that may be named, looked up once. */
  readonly #again = new Map<string, Promise<string | undefined>>();
  /** Equal contents are written once: those that wait for it, by hash. */
  readonly #writing = new Map<string, { readonly waiting: Job[]; place: PiecePlace | undefined }>();
  written = 0;

  constructor(options: StoreFilesOptions, before: ReadonlyMap<string, ChunkPlace>) {
    this.#options = options;
    this.#before = before;
    this.#packer = new PiecePacker((content) => this.#writeChunk(content, "small files"));
  }

  async place(jobs: readonly Job[]): Promise<void> {
    const { signal, onPiece } = this.#options;
    const sparse = sparseChunks(this.#used(jobs));
    const budget = new EventLoopBudget();
    await inParallel(checkpointConcurrency, jobs, async (job) => {
      signal?.throwIfAborted();
      const known = this.#knownPlace(job);
      const key = known === undefined || sparse.has(known.key) ? undefined : await this.#mayName(known.key, job.path);
      if (key === undefined || known === undefined) await this.#store(job);
      else job.place = { ...known, key };
      onPiece(job.length);
      await budget.yieldIfDue();
    });
    await this.#packer.flush();
  }

  *#used(jobs: readonly Job[]): Generator<UsedPiece> {
    for (const job of jobs) {
      const place = this.#knownPlace(job);
      if (place !== undefined) yield { key: place.key, length: job.length };
    }
  }

  #knownPlace({ piece: { hash, place } }: Job): ChunkPlace | undefined {
    return nameablePlace(place, this.#options) ?? this.#before.get(hash);
  }

  #mayName(key: string, owner: string): Promise<string | undefined> {
    let again = this.#again.get(key);
    if (again === undefined) this.#again.set(key, (again = this.#options.reuse.again(key, undefined, owner)));
    return again;
  }

  async #store(job: Job): Promise<void> {
    const { piece } = job;
    const same = this.#writing.get(piece.hash);
    if (same !== undefined) {
      if (same.place === undefined) same.waiting.push(job);
      else job.place = same.place;
      return;
    }
    const writing: { readonly waiting: Job[]; place: PiecePlace | undefined } = { waiting: [job], place: undefined };
    this.#writing.set(piece.hash, writing);
    const onPlaced = (place: PiecePlace): void => {
      writing.place = place;
      for (const each of writing.waiting) each.place = place;
    };
    await this.#options.pace.run(() => this.#write(job, onPlaced));
  }

  async #write({ path, index, length, piece }: Job, onPlaced: (place: PiecePlace) => void): Promise<void> {
    const { files } = this.#options;
    const content = await files.read(path, index);
    const found = sha256(content).toString("hex");
    if (found !== piece.hash || content.length !== length)
      throw new RangeError(`piece ${index} of ${path} has SHA-256 ${found}, not ${piece.hash}`);
    if (length <= packedBytesMax) await this.#packer.add(content, onPlaced);
    else onPlaced({ kind: "chunk", key: await this.#writeChunk(content, path, found) });
  }

  #writeChunk(content: Uint8Array, owner: string, hash?: string): Promise<string> {
    const { store, position, compression } = this.#options;
    this.written += 1;
    return writeChunkOf(store, position, content, { owner, compression, sha256: hash });
  }
}

async function jobsOf(tree: FileTree): Promise<Job[]> {
  const budget = new EventLoopBudget();
  const jobs: Job[] = [];
  // By their paths, so that small files of a folder share chunks.
  const entries = await sortInTurns(tree.entries(), ([a], [b]) => (a < b ? -1 : 1));
  for (const [path, entry] of entries) {
    if (entry.kind !== "file") continue;
    for (const [index, piece] of entry.pieces.entries())
      jobs.push({ path, index, length: pieceLength(entry.size, index), piece, place: undefined });
    await budget.yieldIfDue();
  }
  return jobs;
}

const nameablePlace = (place: PiecePlace, { nameable }: StoreFilesOptions): ChunkPlace | undefined =>
  place.kind === "chunk" && nameable.has(place.key) ? place : undefined;

/** Where the checkpoint before has contents that are in no chunk that this one may name, by their hashes. */
async function placesBefore(
  options: StoreFilesOptions,
  jobs: readonly Job[],
): Promise<ReadonlyMap<string, ChunkPlace>> {
  const { before: tree } = options;
  const places = new Map<string, ChunkPlace>();
  const wanted = new Set(
    jobs.flatMap(({ piece: { hash, place } }) => (nameablePlace(place, options) === undefined ? [hash] : [])),
  );
  if (tree === undefined || wanted.size === 0) return places;
  const budget = new EventLoopBudget();
  for (const [, entry] of tree.entries()) {
    if (entry.kind !== "file") continue;
    for (const { hash, place } of entry.pieces) if (place.kind === "chunk" && wanted.has(hash)) places.set(hash, place);
    await budget.yieldIfDue();
  }
  return places;
}

/** The tree with every piece in its chunk. */
async function placed(tree: FileTree, jobs: readonly Job[]): Promise<FileTree> {
  const budget = new EventLoopBudget();
  const entries = new Map<string, FileEntry>();
  for (let at = 0; at < jobs.length; ) {
    const path = jobs[at]?.path ?? "";
    const entry = tree.get(path);
    const pieces: FilePiece[] = [];
    for (; jobs[at]?.path === path; at++) {
      const { piece, place, index } = jobs[at] as Job;
      if (place === undefined) throw new RangeError(`piece ${index} of ${path} has no place`);
      pieces.push({ hash: piece.hash, place });
    }
    if (entry?.kind === "file") entries.set(path, { ...entry, pieces });
    await budget.yieldIfDue();
  }
  return tree.withPlaces(entries);
}
