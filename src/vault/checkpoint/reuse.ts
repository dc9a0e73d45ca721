/**
 * Which chunks of a vault a checkpoint can refer to, instead of writing them again.
 *
 * What exists is not enough: clean-up may be at work that was planned at the base or before it, and it removes what the
 * base does not refer to (retention.ts). The files of a primary may be in chunks that the base does not name, although
 * it has the same contents: equal contents of two flushes are in two chunks, of which a checkpoint names one.
 */
import type { CheckpointManifest } from "./checkpoint-manifest.ts";
import { DamagedChunkError, UnknownFormatError } from "../errors.ts";
import { chunkPrefix, parseChunkKey } from "../keys.ts";
import { checkpointScrubChunks } from "../limits.ts";
import { type ChunkNames, chunkNamesOf } from "../store/chunk-names.ts";
import type { Store } from "../store/store.ts";
import { readChunkOf } from "./stored-chunk.ts";

/** The chunks that no clean-up removes whose plan is as old as the base of a checkpoint, or older. */
export class NameableChunks {
  /** Keys of chunks that the base refers to. */
  readonly inBase: ReadonlySet<string>;
  readonly #basePosition: number;

  /** `ofFiles`: the chunks of the base that are of files. */
  constructor(base: Pick<CheckpointManifest, "position" | "databases"> | undefined, ofFiles: Iterable<string>) {
    const ofDatabases = base?.databases.flatMap(({ chunks }) => chunks) ?? [];
    this.inBase = new Set([...ofDatabases, ...ofFiles]);
    this.#basePosition = base?.position ?? Number.POSITIVE_INFINITY;
  }

  /** True if the base refers to it, or it was written for a position behind the base. */
  has(key: string): boolean {
    return this.inBase.has(key) || (parseChunkKey(key)?.position ?? -1) > this.#basePosition;
  }
}

/** The chunks that are there and can be referred to, and those that are read back this time. */
export class Reuse {
  readonly #store: Store;
  readonly names: ChunkNames;
  readonly #keys = new Map<string, string>();
  readonly #due = new Set<string>();
  /** The next checkpoint continues reading back after this name. */
  scrubbedTo = "";

  constructor(store: Store) {
    this.#store = store;
    this.names = chunkNamesOf(store);
  }

  /**
   * Keeps the chunks that exist and may stay, and chooses the next few in the order of their names, so that each has
   * its turn. `wanted`: keys of chunks of the newest checkpoint, and of those that the journal wrote for files since.
   * `scrubbedTo`: the last one that earlier checkpoints have read back in this round.
   */
  async load(wanted: ReadonlySet<string>, scrubbedTo: string): Promise<void> {
    if (wanted.size === 0) return;
    for (const key of await this.#store.list(chunkPrefix)) {
      const name = parseChunkKey(key)?.name;
      if (name !== undefined && wanted.has(key) && this.names.mayStay(key)) this.#keys.set(name, key);
    }
    const names = [...this.#keys.keys()].sort();
    const next = names.filter((name) => name > scrubbedTo).slice(0, checkpointScrubChunks);
    for (const name of next) this.#due.add(name);
    this.scrubbedTo = next.length < checkpointScrubChunks ? "" : (next.at(-1) ?? "");
  }

  /**
   * Returns the key of a chunk that is known by its key; undefined if its content must be read and written again.
   * `length`: of the content, if it is known.
   */
  again(key: string | undefined, length: number | undefined, owner: string): Promise<string | undefined> {
    const name = key === undefined ? undefined : parseChunkKey(key)?.name;
    return name === undefined ? Promise.resolve(undefined) : this.find([name], length, owner);
  }

  /** Returns the key of a chunk with one of these names of a content, or undefined if it must be written. */
  async find(names: readonly string[], length: number | undefined, owner: string): Promise<string | undefined> {
    const name = names.find((each) => this.#keys.has(each));
    const key = name === undefined ? undefined : this.#keys.get(name);
    if (name === undefined || key === undefined || !this.#due.delete(name)) return key;
    try {
      await readChunkOf(this.#store, key, owner, length);
      return key;
    } catch (error) {
      if (!(error instanceof DamagedChunkError) && !(error instanceof UnknownFormatError)) throw error;
      this.#keys.delete(name);
      return undefined;
    }
  }
}
