/** The observations of a histogram: how many values fell into each bucket, how many in all, and their sum. */

export interface Tally {
  /** Values up to each bound and above the previous one; the last entry: above all bounds. */
  readonly counts: number[];
  readonly sum: number;
}

export class Observed implements Tally {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  get isEmpty(): boolean {
    return this.counts.every((count) => count === 0);
  }

  observe(value: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at++;
    counts[at] = (counts[at] as number) + 1;
    this.sum += value;
  }

  /** Throws if the buckets differ. */
  merge({ counts, sum }: Tally): void {
    if (counts.length !== this.counts.length)
      throw new RangeError(`a tally of ${counts.length} buckets cannot be merged into one of ${this.counts.length}`);
    for (const [at, count] of counts.entries()) this.counts[at] = (this.counts[at] as number) + count;
    this.sum += sum;
  }

  /** Returns the observations and starts over. */
  take(): Tally {
    const taken = { counts: [...this.counts], sum: this.sum };
    this.counts.fill(0);
    this.sum = 0;
    return taken;
  }
}
