/**
 * Reads every manifest and every chunk that one refers to, each chunk once at each place, and reports what differs from
 * what was written.
 */
import {
  chunkCountOf,
  type CheckpointManifest,
  databaseBytes,
  listCheckpoints,
  type ManifestDatabase,
  readManifest,
} from "../checkpoint/checkpoint-manifest.ts";
import { readChunk } from "../checkpoint/checkpoint.ts";
import { readTree } from "../checkpoint/checkpoint-files.ts";
import { piecesOf, verifyFiles, type VerifiedPieces } from "./verify-files.ts";
import { DamagedChunkError, DamagedManifestError, UnknownFormatError } from "../errors.ts";
import type { PageProof } from "../checkpoint/flush-proof.ts";
import { type CheckpointReport, damage, type Finding, notice } from "./finding.ts";
import { checkpointKey, chunkPrefix, parseChunkKey } from "../keys.ts";
import { chunkBytes } from "../limits.ts";
import type { Store } from "../store/store.ts";

export interface CheckpointsReport {
  readonly findings: readonly Finding[];
  /** Ascending. */
  readonly checkpoints: readonly CheckpointReport[];
  readonly manifests: readonly CheckpointManifest[];
  readonly chunks: number;
  /** Keys of those that no checkpoint refers to. */
  readonly unreferencedChunks: readonly string[];
}

export interface VerifyCheckpointsOptions {
  /** Without it, the databases are not compared with their checksums. */
  readonly proof?: Pick<PageProof, "checksumOf"> | undefined;
  /** Of the chunks that are read, by the bytes of the databases in them. The manifests are then read once more. */
  readonly onProgress?: ((bytes: number, totalBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export async function verifyCheckpoints(
  store: Store,
  options: VerifyCheckpointsOptions = {},
): Promise<CheckpointsReport> {
  const chunks = await store.list(chunkPrefix);
  const findings: Finding[] = [];
  const checkpoints: CheckpointReport[] = [];
  const manifests: CheckpointManifest[] = [];
  const verified: VerifiedChunks = new Map();
  const verifiedPieces: VerifiedPieces = new Map();
  const onRead = await progressOver(store, options);
  for (const position of await listCheckpoints(store)) {
    const manifest = await readOrReport(store, position, findings);
    if (manifest === undefined) {
      checkpoints.push({ position, wallTimeMs: undefined, databases: 0, bytes: 0, whole: false });
      continue;
    }
    manifests.push(manifest);
    const work = { ...options, store, manifest, verified, findings, onRead };
    // Both: damage in one says nothing of the other.
    const areDatabasesWhole = await verifyChunks(work);
    const whole = (await verifyFiles(work, verifiedPieces)) && areDatabasesWhole;
    const bytes = manifest.databases.reduce((sum, database) => sum + databaseBytes(database), 0);
    const { wallTimeMs, databases, files } = manifest;
    const beside = files === undefined ? {} : { files: { count: files.count, bytes: files.bytes } };
    checkpoints.push({ position, wallTimeMs, databases: databases.length, bytes, ...beside, whole });
  }
  const left = chunks.filter(
    (key) => !verified.has(key) && !verifiedPieces.has(key) && parseChunkKey(key) !== undefined,
  );
  for (const key of chunks)
    if (parseChunkKey(key) === undefined) findings.push(notice("strange-key", key, `${key} is not a chunk`));
  return { findings, checkpoints, manifests, chunks: chunks.length, unreferencedChunks: left };
}

async function readOrReport(
  store: Store,
  position: number,
  findings: Finding[],
): Promise<CheckpointManifest | undefined> {
  try {
    return await readManifest(store, position);
  } catch (error) {
    if (error instanceof DamagedManifestError) findings.push(damage("damaged-manifest", error.key, error.message));
    else if (error instanceof UnknownFormatError)
      findings.push(damage("unknown-format", checkpointKey(position), error.message));
    else throw error;
    return undefined;
  }
}

/**
 * By key: the checksums of its pages, by page size and number of the first page; undefined: damaged. A chunk may occur
 * at several places.
 */
type VerifiedChunks = Map<string, Map<string, Uint8Array> | undefined>;

interface ChunksWork extends VerifyCheckpointsOptions {
  readonly store: Store;
  readonly manifest: CheckpointManifest;
  readonly verified: VerifiedChunks;
  readonly findings: Finding[];
  /** Called with the bytes of each chunk that was read. */
  readonly onRead: (bytes: number) => void;
}

async function verifyChunks(work: ChunksWork): Promise<boolean> {
  let whole = true;
  for (const database of work.manifest.databases) {
    const sum = new Uint8Array(database.checksum.length);
    let isRead = true;
    for (let index = 0; index < chunkCountOf(database); index += 1) {
      work.signal?.throwIfAborted();
      const part = await verifyChunk(work, database, index);
      isRead = isRead && part !== undefined;
      part?.forEach((byte, at) => (sum[at] = (sum[at] ?? 0) ^ byte));
    }
    if (isRead && work.proof !== undefined && Buffer.compare(sum, database.checksum) !== 0) {
      const key = checkpointKey(work.manifest.position);
      const [found, expected] = [sum, database.checksum].map((bytes) => Buffer.from(bytes).toString("hex"));
      work.findings.push(
        damage(
          "damaged-checkpoint",
          key,
          `${key}: the chunks of database ${database.name} give checksum ${found}, not ${expected}: no host can load it`,
        ),
      );
      isRead = false;
    }
    whole = whole && isRead;
  }
  return whole;
}

/**
 * Returns the checksum of the chunk's pages at its place (nothing without a proof); undefined if it differs from what
 * was written.
 */
async function verifyChunk(
  { store, manifest, verified, findings, proof, onRead }: ChunksWork,
  database: ManifestDatabase,
  index: number,
): Promise<Uint8Array | undefined> {
  const key = database.chunks[index] ?? "";
  const firstPage = firstPageOf(database, index);
  const place = proof === undefined ? "" : placeOf(database, index);
  if (verified.has(key) && verified.get(key) === undefined) return undefined;
  const known = verified.get(key)?.get(place);
  if (known !== undefined) return known;
  const content = await readOrReportChunk(store, manifest, database.name, index, findings);
  onRead(chunkLength(database, index));
  if (content === undefined) {
    verified.set(key, undefined);
    return undefined;
  }
  const sum = proof?.checksumOf(database.pageSize, firstPage, content) ?? new Uint8Array(0);
  verified.set(key, (verified.get(key) ?? new Map<string, Uint8Array>()).set(place, sum));
  return sum;
}

async function readOrReportChunk(
  store: Store,
  manifest: CheckpointManifest,
  database: string,
  index: number,
  findings: Finding[],
): Promise<Uint8Array | undefined> {
  try {
    return await readChunk(store, manifest, database, index);
  } catch (error) {
    if (error instanceof DamagedChunkError) findings.push(damage("damaged-chunk", error.key, error.message));
    else if (error instanceof UnknownFormatError) findings.push(damage("unknown-format", error.key, error.message));
    else throw error;
    return undefined;
  }
}

const firstPageOf = ({ pageSize }: ManifestDatabase, index: number): number => (index * chunkBytes) / pageSize + 1;

const placeOf = (database: ManifestDatabase, index: number): string =>
  `${database.pageSize}:${firstPageOf(database, index)}`;

const chunkLength = (database: ManifestDatabase, index: number): number =>
  Math.min(chunkBytes, databaseBytes(database) - index * chunkBytes);

/** Returns what counts the bytes that are read. */
async function progressOver(
  store: Store,
  { proof, onProgress }: VerifyCheckpointsOptions,
): Promise<(bytes: number) => void> {
  if (onProgress === undefined) return () => undefined;
  const places = new Set<string>();
  let total = 0;
  for (const position of await listCheckpoints(store)) {
    // One that cannot be read is reported when its chunks would be verified.
    const manifest = await readManifest(store, position).catch(() => undefined);
    for (const database of manifest?.databases ?? [])
      for (const [index, key] of database.chunks.entries()) {
        const place = proof === undefined ? key : `${key} ${placeOf(database, index)}`;
        if (places.has(place)) continue;
        places.add(place);
        total += chunkLength(database, index);
      }
    const tree = manifest === undefined ? undefined : await readTree(store, manifest).catch(() => undefined);
    for (const { place, length } of piecesOf(tree)) {
      const at = `${place.key} ${place.offset ?? 0}`;
      if (!places.has(at)) total += length;
      places.add(at);
    }
  }
  let done = 0;
  return (bytes) => onProgress((done += bytes), total);
}
