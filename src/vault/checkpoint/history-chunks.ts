/**
 * The chunks that checkpoints of a history need (core/checkpoint-history.ts), for clean-up.
 *
 * There may be a thousand such checkpoints, each with a manifest of megabytes, and clean-up runs after every
 * checkpoint. A manifest never changes: a process reads each once, one after the other, and keeps the keys alone. Most
 * checkpoints have most chunks in common, so each key is one text, whatever the number of checkpoints that name it.
 */
import { EventLoopBudget } from "../../runtime/event-loop-budget.ts";
import { DamagedChunkError, UnknownFormatError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import { readTreePart } from "./checkpoint-files.ts";
import { type CheckpointLink, readWholeManifest } from "./checkpoint-manifest.ts";

export class HistoryChunks {
  /** By the hash of the manifest. */
  readonly #known = new Map<string, readonly string[]>();
  readonly #texts = new Map<string, string>();

  /**
   * Returns the keys that a checkpoint needs; undefined: it is not there any more, or its manifest is damaged or
   * another one. Throws StoreError.
   */
  async of(store: Store, link: CheckpointLink): Promise<readonly string[] | undefined> {
    const known = this.#known.get(link.manifestHash);
    if (known !== undefined) return known;
    const manifest = await readWholeManifest(store, link.position);
    if (manifest?.manifestHash !== link.manifestHash) return undefined;
    const keys = new Set<string>();
    for (const { chunks } of manifest.databases) for (const key of chunks) keys.add(this.#text(key));
    for (const part of manifest.files?.chunks ?? []) {
      keys.add(this.#text(part));
      for (const { key } of await piecesIn(store, part)) keys.add(this.#text(key));
    }
    const needed = [...keys];
    this.#known.set(link.manifestHash, needed);
    return needed;
  }

  /** Forgets all but these. */
  async keepOnly(links: readonly CheckpointLink[]): Promise<void> {
    const stay = new Set(links.map(({ manifestHash }) => manifestHash));
    const gone = [...this.#known.keys()].filter((hash) => !stay.has(hash));
    if (gone.length === 0) return;
    for (const hash of gone) this.#known.delete(hash);
    this.#texts.clear();
    const budget = new EventLoopBudget();
    for (const keys of this.#known.values()) {
      for (const key of keys) this.#texts.set(key, key);
      await budget.yieldIfDue();
    }
  }

  #text(key: string): string {
    const known = this.#texts.get(key);
    if (known === undefined) this.#texts.set(key, key);
    return known ?? key;
  }
}

/** Returns where a part of a tree has its contents; none if it is damaged: nothing of it can be restored any more. */
export async function piecesIn(store: Store, part: string): Promise<{ readonly path: string; readonly key: string }[]> {
  try {
    return await piecesOfPart(store, part);
  } catch (error) {
    if (!(error instanceof DamagedChunkError || error instanceof UnknownFormatError)) throw error;
    return [];
  }
}

/** The same. Throws DamagedChunkError, UnknownFormatError, StoreError. */
export async function piecesOfPart(
  store: Store,
  part: string,
): Promise<{ readonly path: string; readonly key: string }[]> {
  return (await readTreePart(store, part)).flatMap(([path, entry]) =>
    entry.kind === "file"
      ? entry.pieces.flatMap(({ place }) => (place.kind === "chunk" ? [{ path, key: place.key }] : []))
      : [],
  );
}
