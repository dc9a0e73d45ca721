/**
 * Where the contents of a flush go: into its records as long as they fit, and otherwise into chunks of the vault, which
 * are there before the flush that names them is put.
 */
import type { ChangePiece, FileChange } from "../../core/files/file-change.ts";
import { PieceMemory } from "./piece-memory.ts";

/** Contents in the records of one flush. */
export const inlineBytesMax = 32 * 1024 * 1024;
/** Chunks that are put at the same time. */
const chunksAtOnce = 4;

/** Stores a piece as a chunk of the vault; resolves with its key when it is durable. Rejects when the term is over. */
export type StorePiece = (bytes: Uint8Array) => Promise<string>;

export class PieceContents {
  /** What pieces are read into. */
  readonly memory = new PieceMemory();
  readonly #store: StorePiece;
  readonly #inlineBytesMax: number;
  readonly #running = new Set<Promise<void>>();
  #inlineBytes = 0;
  #failure: { readonly error: unknown } | undefined;

  /** `inlineMax`: bytes of contents in the records of one flush. */
  constructor(store: StorePiece, inlineMax = inlineBytesMax) {
    this.#store = store;
    this.#inlineBytesMax = inlineMax;
  }

  /** Puts a new content at `index` of `pieces`, there when `stored` resolves. Waits while too many are on their way. */
  async add(pieces: ChangePiece[], index: number, hash: string, bytes: Uint8Array): Promise<void> {
    if (this.#inlineBytes + bytes.length <= this.#inlineBytesMax) {
      this.#inlineBytes += bytes.length;
      pieces[index] = { hash, source: { kind: "inline", bytes } };
      return;
    }
    const putting: Promise<void> = this.#put(pieces, index, hash, bytes).then(() => void this.#running.delete(putting));
    this.#running.add(putting);
    while (this.#running.size >= chunksAtOnce) await Promise.race(this.#running);
  }

  async #put(pieces: ChangePiece[], index: number, hash: string, bytes: Uint8Array): Promise<void> {
    try {
      pieces[index] = { hash, source: { kind: "chunk", key: await this.#store(bytes) } };
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  /** The pieces of a content that is not put after all. */
  forget(pieces: readonly ChangePiece[]): void {
    for (const { source } of pieces) if (source.kind === "inline") this.#inlineBytes -= source.bytes.length;
  }

  /** Resolves when everything added is in place; rejects with the first failure. */
  async stored(): Promise<void> {
    await Promise.all(this.#running);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** The changes are durable: their contents are not read any more. */
  release(changes: readonly FileChange[]): void {
    for (const change of changes)
      if (change.kind === "put-file")
        for (const { source } of change.pieces) if (source.kind === "inline") this.memory.give(source.bytes);
  }

  /** The flush has its contents: the next one begins. */
  begin(): void {
    this.#inlineBytes = 0;
  }
}
