/**
 * Contents of files that a primary puts into the vault before the flush that names them (core/files).
 *
 * A chunk's key has the position of the next record at the time of the put. The flush that names it comes at that
 * position or later, and no checkpoint is taken in between, since the journal does one after the other: clean-up, which
 * counts positions (retention.ts), never meets a chunk whose flush is still to come.
 */
import { allRules, type Rules } from "../../core/rules.ts";
import { chunkKey } from "../keys.ts";
import type { Position } from "../record.ts";
import { chunkNamesOf } from "../store/chunk-names.ts";
import { type RetryPorts, retryUntilAnswered } from "../store/retry.ts";
import type { Store } from "../store/store.ts";
import { type Compression, encodeChunk, zstdCompression } from "./chunk-codec.ts";
import { readChunkOf } from "./stored-chunk.ts";

export interface FileChunkOptions extends RetryPorts {
  readonly store: Store;
  /** Of the next record. */
  readonly position: Position;
  readonly compression?: Compression | undefined;
  /** Default: all are in force. */
  readonly rules?: Rules | undefined;
}

/**
 * Returns the key of the chunk, which is durable. Transient failures are retried without limit. Rejects with the
 * signal's reason, StoreError `unsuitable`, or DamagedChunkError for another content under the same name.
 */
export async function putFileChunk(options: FileChunkOptions, content: Uint8Array): Promise<string> {
  const { store, position, compression = zstdCompression, rules = allRules } = options;
  const key = chunkKey(position, chunkNamesOf(store).of(content)[0] ?? "");
  const bytes = await encodeChunk(content, compression);
  const putting = retryUntilAnswered(options, () => store.putIfAbsent(key, bytes));
  if (!rules.has("files-chunk-before-flush")) {
    putting.catch(() => undefined);
    return key;
  }
  const { kind } = await putting;
  // Of an earlier attempt, or of the same content elsewhere.
  if (kind === "exists" && rules.has("files-chunk-read-back"))
    await retryUntilAnswered(options, () => readChunkOf(store, key, key, content.length));
  return key;
}
