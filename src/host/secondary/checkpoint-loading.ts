/** The databases of a checkpoint on their way into local files: each chunk from the vault, or from what is here. */
import type { LoadedDatabase } from "../../capture/page-tables.ts";
import { mapInOrder } from "../../runtime/in-parallel.ts";
import { type CheckpointManifest, readChunk } from "../../vault/checkpoint/checkpoint.ts";
import { databaseBytes, type ManifestDatabase } from "../../vault/checkpoint/checkpoint-manifest.ts";
import { parseChunkKey } from "../../vault/keys.ts";
import { chunkBytes, chunksReadAhead } from "../../vault/limits.ts";
import type { Store } from "../../vault/store/store.ts";

export interface LoadingOptions {
  readonly store: Store;
  /**
   * A chunk of a local database, moved away or taken over, if it exists: verified by its name before it is used. Left
   * out: everything is read from the vault.
   */
  readonly localChunk?: (
    name: string,
    offset: number,
    length: number,
    chunk: string,
  ) => Promise<Uint8Array | undefined>;
  /** Of everything that is loaded, in bytes. */
  readonly onProgress?: ((bytes: number, totalBytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export class CheckpointLoading {
  readonly #options: LoadingOptions;
  readonly #manifest: CheckpointManifest;
  readonly #totalBytes: number;
  #bytes = 0;

  constructor(options: LoadingOptions, manifest: CheckpointManifest) {
    this.#options = options;
    this.#manifest = manifest;
    const ofFiles = manifest.files?.bytes ?? 0;
    this.#totalBytes = manifest.databases.reduce((sum, database) => sum + databaseBytes(database), ofFiles);
  }

  /** So many more bytes are loaded. */
  readonly onBytes = (bytes: number): void => {
    this.#bytes += bytes;
    this.#options.onProgress?.(this.#bytes, this.#totalBytes);
  };

  database({ name, pageSize, pageCount, checksum, chunks: keys }: ManifestDatabase): LoadedDatabase {
    const wholeBytes = databaseBytes({ pageSize, pageCount });
    /** Lengths of local chunks, by their offsets. */
    const local = new Map<number, number>();
    const read = async (index: number): Promise<Uint8Array> => {
      this.#options.signal?.throwIfAborted();
      const offset = index * chunkBytes;
      const length = Math.min(chunkBytes, wholeBytes - offset);
      const chunk = parseChunkKey(keys[index] ?? "")?.name ?? "";
      const found = await this.#options.localChunk?.(name, offset, length, chunk);
      if (found === undefined) return readChunk(this.#options.store, this.#manifest, name, index);
      local.set(offset, length);
      return found;
    };
    const chunks = this.#counted(mapInOrder(chunksReadAhead, keys.keys(), read));
    return { name, pageSize, pageCount, checksum, chunks, isLocal: (offset, bytes) => local.get(offset) === bytes };
  }

  async *#counted(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      const { length } = chunk;
      yield chunk;
      this.onBytes(length);
    }
  }
}
