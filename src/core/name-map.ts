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
  /** The run that was asked for last: mostly all names are of one gateway. */
  #last: { readonly run: string; readonly counts: Map<number, T> } | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get({ run, count }: Name): T | undefined {
    return this.#countsOf(run)?.get(count);
  }

  set({ run, count }: Name, value: T): void {
    let counts = this.#countsOf(run);
    if (counts === undefined) this.#runs.set(run, (counts = new Map()));
    const before = counts.size;
    counts.set(count, value);
    this.#size += counts.size - before;
  }

  delete({ run, count }: Name): void {
    const counts = this.#countsOf(run);
    if (counts?.delete(count) !== true) return;
    this.#size -= 1;
    if (counts.size > 0) return;
    this.#runs.delete(run);
    this.#last = undefined;
  }

  #countsOf(run: string): Map<number, T> | undefined {
    if (this.#last?.run === run) return this.#last.counts;
    const counts = this.#runs.get(run);
    if (counts !== undefined) this.#last = { run, counts };
    return counts;
  }

  /** Run by run; of each the order in which they were set. An entry that is reached may be deleted. */
  forEach(visit: (value: T) => void): void {
    for (const counts of this.#runs.values()) for (const value of counts.values()) visit(value);
  }
}
