/**
 * Reads pieces of files from where the vault has them: a chunk, which small pieces share, or a record of the log. Each
 * is proven by its hash. A reader that goes by the order of paths reads a shared chunk once.
 */
import type { WantedPiece } from "../../core/files/file-entry.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { DamagedChunkError } from "../errors.ts";
import { filesOf } from "../log/files-section.ts";
import { type Log, readRecord } from "../log/log.ts";
import type { Position } from "../record.ts";
import type { Store } from "../store/store.ts";
import { readChunkOf } from "./stored-chunk.ts";

export interface PieceSources {
  readonly store: Store;
  /** Left out: all pieces are in chunks. */
  readonly log?: Log;
}

/** Shared chunks that are kept; each has at most 1 MiB. */
const keptMax = 8;

export class PieceReader {
  readonly #sources: PieceSources;
  /** By key, in the order of their use. */
  readonly #kept = new Map<string, Promise<Uint8Array>>();

  constructor(sources: PieceSources) {
    this.#sources = sources;
  }

  /** Throws DamagedChunkError (also if it is not there any more), UnknownFormatError, StoreError. */
  async read(wanted: WantedPiece): Promise<Uint8Array> {
    const { place, hash, length, path } = wanted;
    const content =
      place.kind === "chunk"
        ? await this.#inChunk(place.key, place.offset ?? 0, wanted)
        : await this.#inRecord(place.position, hash);
    const found = content === undefined ? "nothing" : `SHA-256 ${sha256(content).toString("hex")}`;
    if (content?.length === length && found === `SHA-256 ${hash}`) return content;
    const where = place.kind === "chunk" ? place.key : (this.#sources.log?.nameOf(place.position) ?? "the log");
    throw new DamagedChunkError(where, `a content with ${found}`, hash, path);
  }

  #inRecord(position: Position, hash: string): Promise<Uint8Array | undefined> {
    const { log } = this.#sources;
    if (log === undefined) throw new RangeError("a piece in a record, and no log to read it from");
    return inlineIn(log, position, hash);
  }

  async #inChunk(key: string, offset: number, { length, path }: WantedPiece): Promise<Uint8Array> {
    let chunk = this.#kept.get(key);
    if (chunk === undefined) {
      chunk = readChunkOf(this.#sources.store, key, path, undefined);
      this.#keep(key, chunk);
    }
    try {
      const content = await chunk;
      // Only a shared one is wanted again.
      if (content.length === length) this.#kept.delete(key);
      return content.subarray(offset, offset + length);
    } catch (error) {
      this.#kept.delete(key);
      throw error;
    }
  }

  #keep(key: string, chunk: Promise<Uint8Array>): void {
    this.#kept.set(key, chunk);
    const oldest = this.#kept.keys().next().value;
    if (this.#kept.size > keptMax && oldest !== undefined) this.#kept.delete(oldest);
  }
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
