/**
 * Contents of files that a primary puts into the vault before the flush that names them (core/files), and contents that
 * it reads again from where the log has them.
 *
 * A chunk's key has the position of the next record at the time of the put. The flush that names it comes at that
 * position or later, and no checkpoint is taken in between, since the journal does one after the other: clean-up, which
 * counts positions (retention.ts), never meets a chunk whose flush is still to come.
 */
import type { PiecePlace } from "../../core/files/file-entry.ts";
import { filesOf } from "../log/files-section.ts";
import { type Log, readRecord } from "../log/log.ts";
import { DamagedChunkError } from "../errors.ts";
import { chunkKey } from "../keys.ts";
import type { Position } from "../record.ts";
import { chunkNamesOf } from "../store/chunk-names.ts";
import { type RetryPorts, retryUntilAnswered } from "../store/retry.ts";
import type { Store } from "../store/store.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { type Compression, encodeChunk, zstdCompression } from "./chunk-codec.ts";
import { readChunkOf } from "./stored-chunk.ts";

export interface FileChunkOptions extends RetryPorts {
  readonly store: Store;
  /** Of the next record. */
  readonly position: Position;
  readonly compression?: Compression | undefined;
}

/**
 * Returns the key of the chunk, which is durable. Transient failures are retried without limit. Rejects with the
 * signal's reason, StoreError `unsuitable`, or DamagedChunkError for another content under the same name.
 */
export async function putFileChunk(options: FileChunkOptions, content: Uint8Array): Promise<string> {
  const { store, position, compression = zstdCompression } = options;
  const key = chunkKey(position, chunkNamesOf(store).of(content)[0] ?? "");
  const bytes = await encodeChunk(content, compression);
  const { kind } = await retryUntilAnswered(options, () => store.putIfAbsent(key, bytes));
  // Of an earlier attempt, or of the same content elsewhere.
  if (kind === "exists") await retryUntilAnswered(options, () => readChunkOf(store, key, key, content.length));
  return key;
}

/** Returns a piece of the file at `path` from its place. Rejects if it is not there any more. */
export async function readPlacedPiece(
  { store, log }: { readonly store: Store; readonly log: Log },
  place: PiecePlace,
  hash: string,
  path: string,
): Promise<Uint8Array> {
  const content =
    place.kind === "chunk"
      ? await readChunkOf(store, place.key, path, undefined)
      : await inlineIn(log, place.position, hash);
  if (content !== undefined && sha256(content).toString("hex") === hash) return content;
  const where = place.kind === "chunk" ? place.key : log.nameOf(place.position);
  throw new DamagedChunkError(where, "no such content", `content ${hash}`, path);
}

/** Looks through the parts of the flush that begins there. */
async function inlineIn(log: Log, from: Position, hash: string): Promise<Uint8Array | undefined> {
  for (let position = from; ; position++) {
    const record = await readRecord(log, position);
    if (record?.body.kind !== "commit") return undefined;
    for (const change of filesOf(record.sections)?.changes ?? [])
      for (const piece of change.kind === "put-file" ? change.pieces : [])
        if (piece.hash === hash && piece.source.kind === "inline") return piece.source.bytes;
    if (record.body.part === record.body.parts) return undefined;
  }
}
