/**
 * Writes and reads checkpoints: all databases of a service as they were after one record of the log.
 *
 * Order: chunks → each read back and verified → manifest (putIfAbsent) → and only then the caller's `checkpoint`
 * record. A crash anywhere before the manifest leaves unreferenced chunks, which retention removes later.
 *
 * A chunk that the newest checkpoint already has is not written again. A chunk's key carries the position of the
 * checkpoint for which it was written, which makes removal safe against a process that was frozen in it (retention.ts
 * has the argument). That argument needs one guarantee of this file: the base is never older than the newest manifest
 * in the vault.
 *
 * Reuse would carry silent decay from checkpoint to checkpoint, while retention deletes the journal that could repair
 * it. Every reused chunk must therefore exist, a few of them are read back each time in rotation, and a missing or
 * damaged one is written again: its content is at hand.
 */
import { type HistoryRule, thinOut } from "../../core/checkpoint-history.ts";
import type { DatabaseChecksum } from "../../core/delta.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { zstdCompression, type Compression } from "./chunk-codec.ts";
import { type CheckpointFiles, chunksOfFiles, keysOfPieces, treeBefore } from "./checkpoint-files.ts";
import { storeFiles } from "./store-files.ts";
import type { ChunkPace } from "./checkpoint-pace.ts";
import {
  type CheckpointManifest,
  chunkCountOf,
  databaseBytes,
  encodeManifest,
  listCheckpoints,
  type ManifestDatabase,
  readWholeManifest,
} from "./checkpoint-manifest.ts";
import { inParallel } from "../../runtime/in-parallel.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { NameableChunks, Reuse } from "./reuse.ts";
import { readChunkOf, writeChunkOf } from "./stored-chunk.ts";
import { CheckpointExistsError, DamagedManifestError } from "../errors.ts";
import { checkpointKey } from "../keys.ts";
import { checkpointConcurrency, chunkBytes, manifestBytesMax } from "../limits.ts";
import type { Position } from "../record.ts";
import { type Store, StoreError } from "../store/store.ts";

export {
  type CheckpointManifest,
  listCheckpoints,
  newestCheckpoint,
  readManifest,
  startOf,
} from "./checkpoint-manifest.ts";

/** A database that does not change while the checkpoint is written (capture's seal ensures this). */
export interface CheckpointDatabase {
  readonly name: string;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly checksum: DatabaseChecksum;
  /** Returns exactly `length` bytes from `offset` on, in a buffer that the reader does not reuse. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Called when it will not be read any more. */
  release?(): void;
}

export interface WriteCheckpointOptions {
  readonly store: Store;
  readonly position: Position;
  /** Hash of the log record at that position; zeros at position 0. */
  readonly hash: string;
  readonly epoch: number;
  /** Position of that epoch's claim; default 0: unknown. */
  readonly epochPosition?: Position;
  readonly wallTimeMs: number;
  readonly databases: readonly CheckpointDatabase[];
  /** The files beside the databases; left out: the service has none. */
  readonly files?: CheckpointFiles | undefined;
  /** The files of `base`, if the caller has them: saves reading them. */
  readonly baseFiles?: FileTree | undefined;
  /** The newest checkpoint, if the caller has it: saves reading it. It is not used if the vault has a newer one. */
  readonly base?: CheckpointManifest | undefined;
  /** Which older checkpoints it names, so that they are kept; default: none. */
  readonly history?: readonly HistoryRule[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly compression?: Compression;
  /** Chunks in progress at a time. */
  readonly concurrency?: number;
  /** Runs the work on each chunk; default: at once. */
  readonly pace?: ChunkPace | undefined;
  /** Called after each chunk, with the bytes of the databases that are done. */
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
}

export interface WrittenCheckpoint {
  readonly manifest: CheckpointManifest;
  readonly chunksWritten: number;
  readonly chunksReused: number;
  /** The files, each piece in a chunk; undefined: the checkpoint has none. */
  readonly tree: FileTree | undefined;
}

/**
 * Throws CheckpointExistsError (one at or after this position exists), StoreError (never retried: the next checkpoint
 * is the retry; after an ambiguous manifest put it is looked up), DamagedChunkError (the vault did not keep what it
 * confirmed), or the signal's reason.
 */
export async function writeCheckpoint(options: WriteCheckpointOptions): Promise<WrittenCheckpoint> {
  const { base, previous } = await chooseBase(options);
  const { store, files: beside } = options;
  const reuse = new Reuse(store);
  const filesBefore = beside === undefined ? undefined : await treeBefore(store, base, options.baseFiles);
  const nameable = new NameableChunks(base, beside === undefined ? [] : await chunksOfFiles(base, filesBefore));
  const ofJournal = [...(await keysOfPieces(beside?.tree))].filter((key) => nameable.has(key));
  await reuse.load(new Set([...nameable.inBase, ...ofJournal]), base?.scrubbedTo ?? "");
  const jobs = options.databases.map((database) => ({
    database,
    keys: new Array<string>(chunkCountOf(database)),
    same: unchanged(base, database),
    left: chunkCountOf(database),
  }));
  // Small ones first: each holds up checkpoints of the application until it is read.
  const inTurn = jobs.toSorted((a, b) => a.left - b.left);
  for (const { left, database } of inTurn) if (left === 0) database.release?.();
  const pieces = inTurn.flatMap((job) => Array.from(job.keys, (_, index) => ({ job, index })));
  const total = pieces.length * chunkBytes + (beside?.tree.bytes ?? 0);
  let written = 0;
  let done = 0;
  const pace = options.pace ?? unpaced;
  await inParallel(options.concurrency ?? checkpointConcurrency, pieces, async ({ job, index }) => {
    const stored = await pace.run(async () => {
      options.signal?.throwIfAborted();
      const again = await reuse.again(job.same?.chunks[index], chunkLength(job.database, index), job.database.name);
      return again === undefined ? storeChunk(options, reuse, job.database, index) : { key: again, written: false };
    });
    job.keys[index] = stored.key;
    if ((job.left -= 1) === 0) job.database.release?.();
    if (stored.written) written += 1;
    options.onProgress?.((done += chunkBytes), total);
  });
  const files =
    beside === undefined
      ? undefined
      : await storeFiles({
          ...{ store, position: options.position, files: beside, before: filesBefore, reuse, nameable },
          ...{ compression: options.compression ?? zstdCompression, signal: options.signal, pace },
          onPiece: (bytes) => options.onProgress?.((done += bytes), total),
        });
  options.signal?.throwIfAborted();
  const databases = jobs.map(({ database, keys }): ManifestDatabase => {
    const { name, pageSize, pageCount, checksum } = database;
    return { name, pageSize, pageCount, checksum: new Uint8Array(checksum), chunks: keys };
  });
  const { position, hash, epoch, epochPosition = 0, wallTimeMs } = options;
  const link = previous === undefined ? null : { position: previous.position, manifestHash: previous.manifestHash };
  const manifest = await putManifest(options.store, {
    position,
    hash,
    epoch,
    epochPosition,
    wallTimeMs,
    previous: link,
    scrubbedTo: reuse.scrubbedTo,
    databases,
    ...(files === undefined ? {} : { files: files.files }),
    ...historyAfter(previous, options),
  });
  const chunksWritten = written + (files?.chunksWritten ?? 0);
  return { manifest, chunksWritten, chunksReused: pieces.length - written, tree: files?.tree };
}

/**
 * Returns a chunk of a database, verified. Throws DamagedChunkError (also if it is missing), UnknownFormatError,
 * StoreError.
 */
export async function readChunk(
  store: Store,
  manifest: CheckpointManifest,
  database: string,
  index: number,
): Promise<Uint8Array> {
  const found = manifest.databases.find(({ name }) => name === database);
  const key = found?.chunks[index];
  if (found === undefined || key === undefined)
    throw new RangeError(`checkpoint ${manifest.position} has no chunk ${index} of database ${database}`);
  return readChunkOf(store, key, database, chunkLength(found, index));
}

/** What the new checkpoint names of older ones. */
function historyAfter(
  previous: CheckpointManifest | undefined,
  { history: rules = [], wallTimeMs }: WriteCheckpointOptions,
): Pick<CheckpointManifest, "history"> {
  if (previous === undefined || rules.length === 0) return {};
  const { position, manifestHash, wallTimeMs: previousMs, history = [] } = previous;
  const kept = thinOut([...history, { position, manifestHash, wallTimeMs: previousMs }], rules, wallTimeMs);
  return kept.length === 0 ? {} : { history: kept };
}

const unpaced: ChunkPace = { run: (work) => work() };

const chunkLength = (database: { readonly pageSize: number; readonly pageCount: number }, index: number): number =>
  Math.min(chunkBytes, databaseBytes(database) - index * chunkBytes);

/**
 * Chooses the base for reuse: only the very newest manifest. If it is damaged, the link goes to the next whole one and
 * all chunks are written.
 */
async function chooseBase(
  options: WriteCheckpointOptions,
): Promise<{ base: CheckpointManifest | undefined; previous: CheckpointManifest | undefined }> {
  const positions = await listCheckpoints(options.store);
  const newest = positions.at(-1);
  if (newest === undefined) return { base: undefined, previous: undefined };
  if (newest >= options.position) throw new CheckpointExistsError(options.position, newest);
  if (options.base?.position === newest) return { base: options.base, previous: options.base };
  for (const position of positions.reverse()) {
    const manifest = await readWholeManifest(options.store, position);
    if (manifest !== undefined) return { base: position === newest ? manifest : undefined, previous: manifest };
  }
  return { base: undefined, previous: undefined };
}

/**
 * Returns the same database in the base if its whole-database checksum shows that nothing in it has changed: it need
 * not be read.
 */
function unchanged(base: CheckpointManifest | undefined, database: CheckpointDatabase): ManifestDatabase | undefined {
  const before = base?.databases.find(({ name }) => name === database.name);
  if (before === undefined || before.pageSize !== database.pageSize || before.pageCount !== database.pageCount)
    return undefined;
  return Buffer.compare(before.checksum, database.checksum) === 0 ? before : undefined;
}

async function storeChunk(
  options: WriteCheckpointOptions,
  reuse: Reuse,
  database: CheckpointDatabase,
  index: number,
): Promise<{ key: string; written: boolean }> {
  const length = chunkLength(database, index);
  const content = await database.read(index * chunkBytes, length);
  if (content.length !== length)
    throw new RangeError(`database ${database.name} gave ${content.length} bytes of ${length}`);
  const hash = sha256(content).toString("hex");
  const names = reuse.names.of(content, hash);
  const existing = await reuse.find(names, length, database.name);
  if (existing !== undefined) return { key: existing, written: false };
  const how = { owner: database.name, compression: options.compression ?? zstdCompression, sha256: hash };
  return { key: await writeChunkOf(options.store, options.position, content, how), written: true };
}

async function putManifest(
  store: Store,
  manifest: Omit<CheckpointManifest, "manifestHash">,
): Promise<CheckpointManifest> {
  const { bytes, manifestHash } = encodeManifest(manifest);
  const key = checkpointKey(manifest.position);
  let failure: Error | undefined;
  try {
    if ((await store.putIfAbsent(key, bytes)).kind === "exists")
      failure = new CheckpointExistsError(manifest.position, manifest.position);
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind !== "ambiguous") throw error;
    failure = error;
  }
  const stored = await store.get(key, manifestBytesMax);
  if (stored !== undefined && Buffer.from(stored).equals(bytes)) return { ...manifest, manifestHash };
  throw failure ?? new DamagedManifestError(key, manifest.position, "other bytes than were written", "the manifest");
}
