/**
 * Whether everything that a vault promises to restore can be restored: each checkpoint that is kept, and each flush
 * after the oldest of them, needs its chunks of files. Looked at whenever one is deleted, and in the end read.
 */
import type { FileTree } from "../../src/core/files/file-tree.ts";
import { type FileEntry, pieceLength } from "../../src/core/files/file-entry.ts";
import { messageOf } from "../../src/runtime/operator-error.ts";
import { keysOfPieces, readTree } from "../../src/vault/checkpoint/checkpoint-files.ts";
import { readManifest } from "../../src/vault/checkpoint/checkpoint-manifest.ts";
import { PieceReader } from "../../src/vault/checkpoint/piece-reader.ts";
import { checkpointPrefix, parseChunkKey, positionOfKey } from "../../src/vault/keys.ts";
import { keyed } from "../../src/vault/store/keyed-store.ts";
import type { Store } from "../../src/vault/store/store.ts";
import type { SimVault } from "./sim-vault.ts";

export class RetainedPoints {
  readonly #vault: SimVault;
  readonly #store: Store;
  readonly #onWrong: (what: string) => void;
  /** Chunks that a flush names, by its position. */
  readonly #flushes = new Map<number, readonly string[]>();
  /** Announced and not to be deleted yet, by position; that of the vault's beginning has nothing. */
  readonly #checkpoints = new Map<number, Checkpoint>([[0, { needed: new Set(), tree: undefined }]]);

  /** Checkpoints that were to be deleted. */
  readonly #removed = new Set<number>();

  constructor(vault: SimVault, onWrong: (what: string) => void) {
    this.#vault = vault;
    this.#onWrong = onWrong;
    this.#store = keyed(plainStore(vault), vault.keys);
    vault.onDeleted = (key) => this.#onDeleted(key);
    vault.onDeletionAsked = (key) => {
      const position = positionOfKey(checkpointPrefix, key);
      if (position === undefined) return;
      this.#checkpoints.delete(position);
      this.#removed.add(position);
    };
  }

  /** The oldest kept checkpoint: no moment before it can be restored. */
  get #oldest(): number {
    return Math.min(...this.#checkpoints.keys());
  }

  /** A flush is in the log: what it names is in the vault, durable. */
  onFlush(position: number, chunks: readonly string[]): void {
    const missing = chunks.find((key) => !this.#vault.isDurable(key));
    if (missing !== undefined)
      this.#onWrong(`the flush at position ${position} names a chunk of files that is not in the vault: ${missing}`);
    if (chunks.length > 0) this.#flushes.set(position, chunks);
  }

  /** A checkpoint is announced. */
  onCheckpoint(position: number): void {
    this.#read(position).catch((error: unknown) =>
      this.#onWrong(`the checkpoint at position ${position} is announced, and not whole: ${messageOf(error)}`),
    );
  }

  async #read(position: number): Promise<void> {
    const manifest = await readManifest(this.#store, position);
    // A later one came first, and this is removed already.
    if (manifest === undefined || this.#removed.has(position)) return;
    const tree = await readTree(this.#store, manifest);
    const needed = new Set([...(manifest.files?.chunks ?? []), ...(await keysOfPieces(tree))]);
    this.#checkpoints.set(position, { needed, tree });
  }

  #onDeleted(key: string): void {
    if (parseChunkKey(key) === undefined) return;
    for (const [position, { needed }] of this.#checkpoints)
      if (needed.has(key)) this.#onWrong(`clean-up removed ${key}, which the kept checkpoint at ${position} needs`);
    const oldest = this.#oldest;
    for (const [position, named] of this.#flushes)
      if (position <= oldest) this.#flushes.delete(position);
      else if (named.includes(key)) this.#onWrong(`clean-up removed ${key}, which the kept flush at ${position} names`);
  }

  /** Reads each piece of each kept checkpoint, and all chunks that flushes name. */
  async finish(): Promise<void> {
    const reader = new PieceReader({ store: this.#store });
    try {
      for (const { tree } of this.#checkpoints.values())
        for (const [path, entry] of tree?.entries() ?? [])
          for (const [index, piece] of entry.kind === "file" ? entry.pieces.entries() : [])
            await reader.read({ ...piece, length: pieceLength(sizeOf(entry), index), path });
    } catch (error) {
      this.#onWrong(`a kept checkpoint cannot be restored in the end: ${messageOf(error)}`);
    }
    for (const [position, chunks] of this.#flushes)
      for (const key of position > this.#oldest ? chunks : [])
        if (this.#vault.get(key) === undefined)
          this.#onWrong(`the kept flush at position ${position} names ${key}, which is not there in the end`);
  }
}

interface Checkpoint {
  readonly needed: ReadonlySet<string>;
  readonly tree: FileTree | undefined;
}

const sizeOf = (entry: FileEntry): number => (entry.kind === "file" ? entry.size : 0);

/** What is visible in the vault, at once. */
const plainStore = (vault: SimVault): Store => ({
  url: "sim:",
  files: undefined,
  prepare: () => undefined,
  stage: () => Promise.resolve(undefined),
  putIfAbsent: () => Promise.reject(new Error("a checker writes nothing")),
  get: (key) => Promise.resolve(vault.get(key)),
  list: (prefix, options) => Promise.resolve(vault.list(prefix, options)),
  delete: () => Promise.reject(new Error("a checker removes nothing")),
});
