/** A chunk of the vault by its key: reads and verifies it, or writes it and reads it back. */
import { decodeChunk, encodeChunk, storedChunkBytesMax, type Compression } from "./chunk-codec.ts";
import { DamagedChunkError, StrangeObjectError } from "../errors.ts";
import { chunkKey, parseChunkKey } from "../keys.ts";
import type { Position } from "../record.ts";
import { chunkNamesOf } from "../store/chunk-names.ts";
import type { Store } from "../store/store.ts";

/**
 * Returns the content; `owner`: the database or file, for messages; `proven`: what it must be, if that is at hand.
 * Throws DamagedChunkError (also if it is missing or of another length), UnknownFormatError, StoreError.
 */
export async function readChunkOf(
  store: Store,
  key: string,
  owner: string,
  length: number | undefined,
  proven?: Uint8Array,
): Promise<Uint8Array> {
  const bytes = await store.get(key, storedChunkBytesMax).catch((error: unknown) => {
    if (error instanceof StrangeObjectError) throw new DamagedChunkError(key, error.what, error.accepted, owner);
    throw error;
  });
  if (bytes === undefined) throw new DamagedChunkError(key, "nothing", "a chunk", owner);
  const named = { key, name: parseChunkKey(key)?.name ?? "", names: chunkNamesOf(store), database: owner, proven };
  const content = await decodeChunk(named, bytes);
  if (length !== undefined && content.length !== length)
    throw new DamagedChunkError(key, `${content.length} bytes`, `${length}`, owner);
  return content;
}

export interface WriteChunkOptions {
  readonly owner: string;
  readonly compression: Compression;
  readonly sha256?: string | undefined;
}

/**
 * Writes a content for the checkpoint at this position, and reads it back; returns its key. `sha256`: of the content,
 * in hex, if it is known.
 */
export async function writeChunkOf(
  store: Store,
  position: Position,
  content: Uint8Array,
  { owner, compression, sha256 }: WriteChunkOptions,
): Promise<string> {
  const key = chunkKey(position, chunkNamesOf(store).of(content, sha256)[0] ?? "");
  await store.putIfAbsent(key, await encodeChunk(content, compression));
  await readChunkOf(store, key, owner, content.length, content);
  return key;
}
