/**
 * Determines, without a host, which flushes of a log a host can apply: the state of the databases is carried along as
 * hashes of their pages.
 *
 * This file does not decide what "apply" means: `PageProof` is the code with which secondaries apply
 * (src/host/secondary/page-proof.ts), so a flush refused here is refused there, with the same words. No host gets past
 * a refused flush until a whole checkpoint starts over.
 */
import type { DatabaseChecksum } from "../../core/delta.ts";
import type { Flush } from "../../core/flush.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { wholeState } from "../../core/files/whole-state.ts";
import { mapInOrder } from "../../runtime/in-parallel.ts";
import { readTree } from "./checkpoint-files.ts";
import { readChunkOf } from "./stored-chunk.ts";
import { MalformedBytes } from "../log/bytes.ts";
import { chunksNamedIn } from "../log/files-section.ts";
import { DamagedChunkError } from "../errors.ts";
import { type CheckpointManifest, readChunk } from "./checkpoint.ts";
import type { PageKeeper } from "../log/flush-assembler.ts";
import { isVaultError } from "../errors.ts";
import { chunksReadAhead } from "../limits.ts";
import type { LogRecord, Position } from "../record.ts";
import type { Store } from "../store/store.ts";

/** Why a flush or a checkpoint is refused; nothing of it is then applied. */
export interface ProofRefusal {
  readonly database: string;
  /** What was found, and what is accepted. */
  readonly reason: string;
}

export interface ProofState {
  /** Loads a database of a checkpoint. */
  load(database: {
    readonly name: string;
    readonly pageSize: number;
    readonly pageCount: number;
    readonly checksum: DatabaseChecksum;
    readonly chunks: AsyncIterable<Uint8Array>;
  }): Promise<ProofRefusal | undefined>;
  /** Takes the files of a checkpoint, which are proven. */
  loadFiles(tree: FileTree): void;
  /** Applies a whole flush, or nothing of it. */
  apply(flush: Flush): Promise<ProofRefusal | undefined>;
  /** With the files beside the databases (core/files/whole-state.ts). */
  checksums(): ReadonlyMap<string, DatabaseChecksum>;
}

export interface PageProof {
  /**
   * Returns the checksum of a part of a database: whole pages, the first of which has that number. A database's
   * checksum is the XOR of its parts' checksums.
   */
  checksumOf(pageSize: number, firstPage: number, bytes: Uint8Array): DatabaseChecksum;
  /** The state without databases. */
  emptyState(): ProofState;
  /** Keeps only what `apply` needs of pages, instead of the pages of a large incomplete flush. */
  readonly keeper: PageKeeper;
}

/** A flush that no host can apply. */
export interface UnappliableFlush extends ProofRefusal {
  /** Position of its last part. */
  readonly position: Position;
  /** The last position before its first part, where the state is whole. */
  readonly wholeUpTo: Position;
  /**
   * The first whole checkpoint after it: hosts start there or later. undefined: there is none, and no host gets past
   * the flush.
   */
  readonly mendedBy: Position | undefined;
}

export class JournalProof {
  readonly #store: Store;
  readonly #proof: PageProof;
  readonly #checkpoints: ReadonlyMap<Position, CheckpointManifest>;
  #state: ProofState | undefined;
  #wholeUpTo: Position = 0;
  readonly #refused: Omit<UnappliableFlush, "mendedBy">[] = [];
  /** Chunks with contents of files that flushes name, and those of them that are not as they were written. */
  readonly chunksOfFiles = new Set<string>();
  readonly damagedChunks: DamagedChunkError[] = [];
  /** Checkpoints whose state differs from the journal before them. */
  readonly diverging: { readonly position: Position; readonly database: string }[] = [];

  /** `checkpoints`: the whole ones. */
  constructor(store: Store, proof: PageProof, checkpoints: readonly CheckpointManifest[]) {
    this.#store = store;
    this.#proof = proof;
    this.#checkpoints = new Map(checkpoints.map((manifest) => [manifest.position, manifest]));
  }

  get keeper(): PageKeeper {
    return this.#proof.keeper;
  }

  get unappliable(): UnappliableFlush[] {
    const positions = [...this.#checkpoints.keys()].toSorted((a, b) => a - b);
    return this.#refused.map((refused) => ({
      ...refused,
      mendedBy: positions.find((position) => position >= refused.position),
    }));
  }

  /** The records that follow come after this position, not after the earlier ones. */
  async beginsAfter(position: Position): Promise<void> {
    this.#state = undefined;
    await this.#reached(position, false);
  }

  /** Takes the next record in order. `flush`: the flush that it completes; `isOpen`: it is inside a flush. */
  async take({ header: { position } }: LogRecord, flush: Flush | undefined, isOpen: boolean): Promise<void> {
    if (flush !== undefined) await this.#readChunksOf(flush);
    const refusal = flush === undefined ? undefined : await this.#state?.apply(flush);
    if (refusal !== undefined) {
      this.#refused.push({ ...refusal, position, wholeUpTo: this.#wholeUpTo });
      this.#state = undefined;
    }
    await this.#reached(position, isOpen);
  }

  /** A section that cannot be read names none: the flush itself is refused. */
  async #readChunksOf({ sections }: Flush): Promise<void> {
    for (const { key, path } of chunksIn(sections)) {
      if (this.chunksOfFiles.has(key)) continue;
      this.chunksOfFiles.add(key);
      try {
        await readChunkOf(this.#store, key, path, undefined);
      } catch (error) {
        if (!(error instanceof DamagedChunkError)) throw error;
        this.damagedChunks.push(error);
      }
    }
  }

  async #reached(position: Position, isOpen: boolean): Promise<void> {
    if (isOpen) return;
    this.#wholeUpTo = position;
    const checkpoint = this.#checkpoints.get(position);
    if (checkpoint === undefined) return;
    const other = this.#state === undefined ? undefined : differingDatabase(this.#state.checksums(), checkpoint);
    if (other !== undefined) this.diverging.push({ position, database: other });
    if (this.#state === undefined || other !== undefined) this.#state = await this.#load(checkpoint);
  }

  /** Returns undefined if retention removed it during the walk. */
  async #load(checkpoint: CheckpointManifest): Promise<ProofState | undefined> {
    const state = this.#proof.emptyState();
    try {
      for (const database of checkpoint.databases)
        if ((await state.load({ ...database, chunks: this.#chunksOf(checkpoint, database) })) !== undefined)
          return undefined;
      const tree = await readTree(this.#store, checkpoint);
      if (tree !== undefined) state.loadFiles(tree);
      return state;
    } catch (error) {
      if (isVaultError(error)) return undefined;
      throw error;
    }
  }

  async *#chunksOf(
    manifest: CheckpointManifest,
    { name, chunks }: { readonly name: string; readonly chunks: readonly string[] },
  ): AsyncGenerator<Uint8Array> {
    yield* mapInOrder(chunksReadAhead, chunks.keys(), (index) => readChunk(this.#store, manifest, name, index));
  }
}

function chunksIn(sections: Flush["sections"]): ReturnType<typeof chunksNamedIn> {
  try {
    return chunksNamedIn(sections);
  } catch (error) {
    if (error instanceof MalformedBytes) return [];
    throw error;
  }
}

function differingDatabase(
  state: ReadonlyMap<string, DatabaseChecksum>,
  { databases, files }: CheckpointManifest,
): string | undefined {
  const listed = wholeState(new Map(databases.map(({ name, checksum }) => [name, checksum])), files?.checksum);
  for (const name of new Set([...state.keys(), ...listed.keys()])) {
    const [here, there] = [state.get(name), listed.get(name)];
    if (here === undefined || there === undefined || Buffer.compare(here, there) !== 0) return name;
  }
  return undefined;
}
