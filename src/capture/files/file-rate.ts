/** Bytes of contents that go into the vault, against the most that may in a second, over ten seconds. */
const windowMs = 10_000;

export class FileRate {
  readonly #bytesPerSecondMax: number;
  readonly #now: () => number;
  readonly #taken: { readonly atMs: number; readonly bytes: number }[] = [];
  #bytes = 0;

  /** `now`: monotonic milliseconds. */
  constructor(bytesPerSecondMax: number, now: () => number) {
    this.#bytesPerSecondMax = bytesPerSecondMax;
    this.#now = now;
  }

  take(bytes: number): void {
    this.#bytes += bytes;
    this.#taken.push({ atMs: this.#now(), bytes });
  }

  /** Bytes per second of the last ten seconds; undefined: within the bound. */
  get over(): number | undefined {
    const from = this.#now() - windowMs;
    for (let first = this.#taken[0]; first !== undefined && first.atMs < from; first = this.#taken[0]) {
      this.#taken.shift();
      this.#bytes -= first.bytes;
    }
    const perSecond = (this.#bytes * 1000) / windowMs;
    return perSecond > this.#bytesPerSecondMax ? Math.round(perSecond) : undefined;
  }
}
