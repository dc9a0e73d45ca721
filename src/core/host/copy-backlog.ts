/**
 * How many bytes of the log a copy of the vault does not have yet: from samples of how far the log was written, of
 * which a bounded number is kept. Between two samples the bytes count as missing until the later one is reached.
 */
const samplesMax = 512;

interface Sample {
  readonly position: number;
  /** Of all records of the term up to it. */
  readonly bytes: number;
}

export class CopyBacklog {
  #samples: readonly Sample[] = [];

  /** Adds how far the log is written; positions and bytes rise. */
  add(sample: Sample): void {
    if (this.#samples.at(-1)?.position === sample.position) return;
    this.#samples = [...this.#samples, sample];
    if (this.#samples.length > samplesMax) this.#forgetOne();
  }

  /** Returns the bytes after a position; what was written before the first sample is not known. */
  after(position: number): number {
    const reached = this.#samples.findLastIndex((sample) => sample.position <= position);
    // What is reached is not asked for again.
    this.#samples = this.#samples.slice(Math.max(0, reached));
    const first = reached < 0 ? 0 : (this.#samples[0]?.bytes ?? 0);
    return (this.#samples.at(-1)?.bytes ?? 0) - first;
  }

  /** Forgets the sample without which the least is unknown. */
  #forgetOne(): void {
    const bytesAround = (index: number): number =>
      (this.#samples[index + 1]?.bytes ?? Infinity) - (this.#samples[index - 1]?.bytes ?? -Infinity);
    let least = 1;
    for (let index = 2; index < this.#samples.length - 1; index += 1)
      if (bytesAround(index) < bytesAround(least)) least = index;
    this.#samples = this.#samples.filter((_, index) => index !== least);
  }
}
