/**
 * How far retention may have deleted a log: the largest position under `boundary/`.
 *
 * The store can only create, so each move of the boundary creates a new empty entry, before the first deletion that it
 * allows. Old entries are removed, except the newest few: a listing is not a snapshot on every store, and one that
 * began before the newest entry existed and ended after the removal of all others would find none.
 */
import { boundaryEntriesKept } from "../limits.ts";
import type { Position } from "../record.ts";
import type { Store } from "../store/store.ts";
import { boundaryKey, boundaryPrefix, positionsOf } from "./log-key.ts";

export class Boundary {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** 0: nothing was ever deleted. Throws StoreError. */
  async read(): Promise<Position> {
    return (await this.#entries()).at(-1) ?? 0;
  }

  /** Raises the boundary; durable when it resolves. Never lowers it. */
  async raise(position: Position): Promise<void> {
    const entries = await this.#entries();
    if ((entries.at(-1) ?? 0) >= position) return;
    await this.#store.putIfAbsent(boundaryKey(position), Buffer.from(`${position}\n`));
    for (const old of entries.slice(0, -boundaryEntriesKept)) await this.#store.delete(boundaryKey(old));
  }

  async #entries(): Promise<Position[]> {
    return positionsOf(boundaryPrefix, await this.#store.list(boundaryPrefix));
  }
}
