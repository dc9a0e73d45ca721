/**
 * A checkpoint's manifest: which chunks make up each database at a position.
 *
 * Two lines: one JSON object, and `sha256 <hex>` of the first line (with its line feed). It is written last, after all
 * chunks were written and read back, so an existing manifest is complete. `previous` links it to the newest whole
 * checkpoint that existed when it was made; the links from an announced one lead to those that retention counts.
 * `history` names those that rules keep after the ones between are gone, so that they are still known to be announced.
 */
import { isDatabaseName } from "../../core/database-name.ts";
import { createHash } from "node:crypto";
import { DamagedManifestError, quoteFound, StrangeObjectError, UnknownFormatError } from "../errors.ts";
import { checkpointKey, checkpointPrefix, parseChunkKey, positionOfKey } from "../keys.ts";
import { chunkBytes, manifestBytesMax } from "../limits.ts";
import type { Position } from "../record.ts";
import type { Store } from "../store/store.ts";

const format = "stead-checkpoint";
/** A version that knows no files refuses a manifest with some: it would restore without them. */
const versionOf = (files: unknown): number => (files === undefined ? 1 : 2);

export interface CheckpointManifest {
  /** The state after this record; 0: the initial state of the service. */
  readonly position: Position;
  /** Hash and epoch of the log record at that position: a reader starts after it (`startOf`). */
  readonly hash: string;
  readonly epoch: number;
  /**
   * Position of that epoch's claim, whose record is never deleted: it names the primary and its lease. 0: none, or
   * unknown.
   */
  readonly epochPosition: Position;
  /** Wall-clock time at which the state was taken, milliseconds since 1970. */
  readonly wallTimeMs: number;
  readonly previous: CheckpointLink | null;
  /** Older ones that rules keep (core/checkpoint-history.ts), ascending; undefined: none. */
  readonly history?: readonly HistoryPoint[] | undefined;
  /**
   * Reused chunks are read back in the order of their names, a few per checkpoint: up to this one, "" at the end of a
   * round.
   */
  readonly scrubbedTo: string;
  readonly databases: readonly ManifestDatabase[];
  /** The files beside the databases; undefined: the service has none. */
  readonly files?: ManifestFiles | undefined;
  /** SHA-256 of the manifest itself, hex, as announced by the `checkpoint` record. */
  readonly manifestHash: string;
}

export interface CheckpointLink {
  readonly position: Position;
  readonly manifestHash: string;
}

export interface HistoryPoint extends CheckpointLink {
  readonly wallTimeMs: number;
}

export interface ManifestDatabase {
  readonly name: string;
  readonly pageSize: number;
  readonly pageCount: number;
  /** Of the whole database (core/delta.ts), 16 bytes. */
  readonly checksum: Uint8Array;
  /** Keys of its chunks in order; each covers one MiB, the last one the rest. */
  readonly chunks: readonly string[];
}

export interface ManifestFiles {
  /** Of the tree (core/files/file-tree.ts), 16 bytes. */
  readonly checksum: Uint8Array;
  /** Files, links and folders. */
  readonly count: number;
  /** Of all files. */
  readonly bytes: number;
  /** Keys of the chunks with the entries of the tree (tree-codec.ts), which name the chunks with the contents. */
  readonly chunks: readonly string[];
}

/** Returns the position after which a log reader continues from this checkpoint. */
export const startOf = (manifest: CheckpointManifest): { position: Position; hash: string; epoch: number } => ({
  position: manifest.position,
  hash: manifest.hash,
  epoch: manifest.epoch,
});

export const databaseBytes = (database: { readonly pageSize: number; readonly pageCount: number }): number =>
  database.pageSize * database.pageCount;
export const chunkCountOf = (database: { readonly pageSize: number; readonly pageCount: number }): number =>
  Math.ceil(databaseBytes(database) / chunkBytes);

export function encodeManifest(manifest: Omit<CheckpointManifest, "manifestHash">): {
  readonly bytes: Uint8Array;
  readonly manifestHash: string;
} {
  const databases = manifest.databases.map((database) => ({
    ...database,
    checksum: Buffer.from(database.checksum).toString("hex"),
  }));
  const { position, hash, epoch, epochPosition, wallTimeMs, previous, scrubbedTo } = manifest;
  const files =
    manifest.files === undefined
      ? {}
      : { files: { ...manifest.files, checksum: Buffer.from(manifest.files.checksum).toString("hex") } };
  const version = versionOf(manifest.files);
  const history = manifest.history === undefined ? {} : { history: manifest.history };
  const line = `${JSON.stringify({ format, version, position, hash, epoch, epochPosition, wallTimeMs, previous, scrubbedTo, databases, ...files, ...history })}\n`;
  const manifestHash = sha256(line);
  return { bytes: Buffer.from(`${line}sha256 ${manifestHash}\n`), manifestHash };
}

/** Throws DamagedManifestError or UnknownFormatError. */
export function decodeManifest(position: Position, bytes: Uint8Array): CheckpointManifest {
  const key = checkpointKey(position);
  const damaged = (found: string, expected: string): DamagedManifestError =>
    new DamagedManifestError(key, position, found, expected);
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  const lineEnd = text.indexOf("\n") + 1;
  const manifestHash = sha256(text.slice(0, lineEnd));
  if (text.slice(lineEnd) !== `sha256 ${manifestHash}\n`)
    throw damaged(
      `${bytes.length} bytes with ${quoteFound(text.slice(lineEnd))}`,
      `"sha256 ${manifestHash}" after the first line`,
    );
  const value = parseObject(text.slice(0, lineEnd));
  if (value === undefined || value["format"] !== format) throw damaged("another kind of file", format);
  if (value["version"] !== 1 && value["version"] !== 2)
    throw new UnknownFormatError(key, `version ${quoteFound(String(value["version"]))}`, "version 1 or 2");
  const files = value["version"] === 1 ? undefined : readFiles(value["files"]);
  if (value["version"] === 2 && files === undefined)
    throw damaged("impossible files", "checksum, count, bytes and chunks of the files");
  const previous = readPrevious(value["previous"]);
  const databases = readDatabases(value["databases"]);
  const history = value["history"] === undefined ? undefined : readHistory(value["history"]);
  if (value["history"] !== undefined && history === undefined)
    throw damaged("an impossible history", "position, manifestHash and wallTimeMs of older checkpoints");
  const { hash, epoch, epochPosition, wallTimeMs, scrubbedTo } = value;
  const isWhole =
    typeof hash === "string" &&
    /^[0-9a-f]{64}$/.test(hash) &&
    isCount(epoch) &&
    isCount(epochPosition) &&
    typeof wallTimeMs === "number" &&
    typeof scrubbedTo === "string" &&
    previous !== undefined;
  if (!isWhole || value["position"] !== position)
    throw damaged("fields of the wrong type, or of another position", `a manifest of position ${position}`);
  if (databases === undefined)
    throw damaged("an impossible database", "name, page size, page count, checksum and chunks that agree");
  const whole = { position, hash, epoch, epochPosition, wallTimeMs, previous, scrubbedTo, databases, manifestHash };
  return { ...whole, ...(files === undefined ? {} : { files }), ...(history === undefined ? {} : { history }) };
}

/** Returns undefined if there is none. Throws StoreError, DamagedManifestError, UnknownFormatError. */
export async function readManifest(store: Store, position: Position): Promise<CheckpointManifest | undefined> {
  const key = checkpointKey(position);
  const bytes = await store.get(key, manifestBytesMax).catch((error: unknown) => {
    if (error instanceof StrangeObjectError) throw new DamagedManifestError(key, position, error.what, error.accepted);
    throw error;
  });
  return bytes === undefined ? undefined : decodeManifest(position, bytes);
}

/** The same; undefined also if it is damaged, or of a format that this version does not know. Throws StoreError. */
export const readWholeManifest = (store: Store, position: Position): Promise<CheckpointManifest | undefined> =>
  readManifest(store, position).catch((error: unknown) => {
    if (error instanceof DamagedManifestError || error instanceof UnknownFormatError) return undefined;
    throw error;
  });

/** Returns the positions of all checkpoints that have a manifest, ascending; reads and verifies nothing. */
export async function listCheckpoints(store: Store): Promise<Position[]> {
  const keys = await store.list(checkpointPrefix);
  return keys.map((key) => positionOfKey(checkpointPrefix, key)).filter((position) => position !== undefined);
}

/**
 * Returns the newest checkpoint, or undefined for an empty vault. A damaged manifest throws and is named: the caller
 * decides whether to use an older one (`readManifest` of `listCheckpoints`), and then reports what is missing.
 */
export async function newestCheckpoint(store: Store): Promise<CheckpointManifest | undefined> {
  for (;;) {
    const position = (await listCheckpoints(store)).at(-1);
    if (position === undefined) return undefined;
    const manifest = await readManifest(store, position);
    if (manifest !== undefined) return manifest; // Else it was removed by retention just now: a newer one is there.
  }
}

function readHistory(value: unknown): HistoryPoint[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const points = value.flatMap((each: unknown) => {
    const link = readPrevious(each);
    const { wallTimeMs }: Partial<Record<string, unknown>> = { ...(each as object) };
    return link === undefined || link === null || typeof wallTimeMs !== "number" ? [] : [{ ...link, wallTimeMs }];
  });
  return points.length === value.length ? points : undefined;
}

function readPrevious(value: unknown): CheckpointLink | null | undefined {
  if (value === null) return null;
  if (typeof value !== "object" || value === undefined || !("position" in value) || !("manifestHash" in value))
    return undefined;
  if (!isCount(value.position) || typeof value.manifestHash !== "string") return undefined;
  return { position: value.position, manifestHash: value.manifestHash };
}

function readDatabases(value: unknown): ManifestDatabase[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const databases = value.map(readDatabase).filter((database) => database !== undefined);
  return databases.length === value.length ? databases : undefined;
}

function readDatabase(value: unknown): ManifestDatabase | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { name, pageSize, pageCount, checksum, chunks }: Partial<Record<string, unknown>> = { ...value };
  if (typeof name !== "string" || !isDatabaseName(name)) return undefined;
  if (
    !isCount(pageSize) ||
    pageSize < 512 ||
    pageSize > 65536 ||
    (pageSize & (pageSize - 1)) !== 0 ||
    !isCount(pageCount)
  )
    return undefined;
  if (typeof checksum !== "string" || !/^[0-9a-f]{32}$/.test(checksum) || !Array.isArray(chunks)) return undefined;
  const keys = chunks.filter((key): key is string => typeof key === "string" && parseChunkKey(key) !== undefined);
  if (keys.length !== chunks.length || keys.length !== chunkCountOf({ pageSize, pageCount })) return undefined;
  return { name, pageSize, pageCount, checksum: new Uint8Array(Buffer.from(checksum, "hex")), chunks: keys };
}

function readFiles(value: unknown): ManifestFiles | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { checksum, count, bytes, chunks }: Partial<Record<string, unknown>> = { ...value };
  if (typeof checksum !== "string" || !/^[0-9a-f]{32}$/.test(checksum)) return undefined;
  if (!isCount(count) || !isCount(bytes) || !Array.isArray(chunks)) return undefined;
  const keys = chunks.filter((key): key is string => typeof key === "string" && parseChunkKey(key) !== undefined);
  if (keys.length !== chunks.length) return undefined;
  return { checksum: new Uint8Array(Buffer.from(checksum, "hex")), count, bytes, chunks: keys };
}

function parseObject(text: string): Partial<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined; // The caller reports what was found.
  }
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

const sha256 = (text: string): string => createHash("sha256").update(text, "utf8").digest("hex");
