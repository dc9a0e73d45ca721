/**
 * Small pieces of files share chunks: a chunk costs a few milliseconds whatever its size, and a service may have a
 * hundred thousand small files. Pieces that are added one after the other lie beside each other, so a reader that goes
 * by the order of paths reads each chunk once.
 */
import type { PiecePlace } from "../../core/files/file-entry.ts";
import { chunkBytes } from "../limits.ts";

/** Larger pieces have a chunk of their own. */
export const packedBytesMax = 128 * 1024;

type OnPlaced = (place: PiecePlace) => void;

export class PiecePacker {
  readonly #write: (content: Uint8Array) => Promise<string>;
  #contents: Uint8Array[] = [];
  #onPlaced: ((key: string) => void)[] = [];
  #bytes = 0;

  /** `write`: writes a chunk, and returns its key. */
  constructor(write: (content: Uint8Array) => Promise<string>) {
    this.#write = write;
  }

  /** Writes what is full by then; `onPlaced` is called once the chunk with this piece is written. */
  async add(content: Uint8Array, onPlaced: OnPlaced): Promise<void> {
    while (this.#bytes + content.length > chunkBytes) await this.flush();
    const offset = this.#bytes;
    this.#contents.push(content);
    this.#bytes += content.length;
    this.#onPlaced.push((key) => onPlaced(offset === 0 ? { kind: "chunk", key } : { kind: "chunk", key, offset }));
  }

  /** Writes what was added since the last chunk. What is added meanwhile is for the next one. */
  async flush(): Promise<void> {
    if (this.#contents.length === 0) return;
    const [contents, placed] = [this.#contents, this.#onPlaced];
    [this.#contents, this.#onPlaced, this.#bytes] = [[], [], 0];
    const key = await this.#write(Buffer.concat(contents));
    for (const onPlaced of placed) onPlaced(key);
  }
}
