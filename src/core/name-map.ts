/**
 * A map by names of requests. Two steps, run and count, in place of one text made of both, which each of the several
 * look-ups that a request costs would make and hash again.
 */

/** As `RequestName` (request-names.ts). */
interface Name {
  readonly run: string;
  readonly count: number;
}

export class NameMap<T> {
  readonly #runs = new Map<string, Map<number, T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get({ run, count }: Name): T | undefined {
    return this.#runs.get(run)?.get(count);
  }

  set({ run, count }: Name, value: T): void {
    let counts = this.#runs.get(run);
    if (counts === undefined) this.#runs.set(run, (counts = new Map()));
    const before = counts.size;
    counts.set(count, value);
    this.#size += counts.size - before;
  }

  delete({ run, count }: Name): void {
    const counts = this.#runs.get(run);
    if (counts?.delete(count) !== true) return;
    this.#size -= 1;
    if (counts.size === 0) this.#runs.delete(run);
  }

  /** Run by run; of each the order in which they were set. An entry that is reached may be deleted. */
  forEach(visit: (value: T) => void): void {
    for (const counts of this.#runs.values()) for (const value of counts.values()) visit(value);
  }
}
