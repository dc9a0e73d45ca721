/** When the clients were answered well: the gap around an event, and requests per second for the display. */
export interface Gap {
  readonly ms: number;
  /** When it began. */
  readonly fromMs: number;
}

export class SuccessMeter {
  /** Times of successful answers, ascending; milliseconds of one monotonic clock. */
  readonly #times: number[] = [];

  success(nowMs: number): void {
    this.#times.push(nowMs);
  }

  get count(): number {
    return this.#times.length;
  }

  /**
   * The longest time without any successful answer that overlaps [fromMs, toMs], in milliseconds. A gap that began
   * before the window counts whole; one that has not ended by `toMs` counts up to `toMs`.
   */
  longestGap(fromMs: number, toMs: number): Gap {
    let longest: Gap = { ms: 0, fromMs };
    let previous: number | undefined;
    for (let index = Math.max(0, this.#firstAtOrAfter(fromMs) - 1); index < this.#times.length; index += 1) {
      const time = this.#times[index] ?? 0;
      if (previous !== undefined && time - previous > longest.ms) longest = { ms: time - previous, fromMs: previous };
      previous = time;
      if (time >= toMs) return longest;
    }
    const last = previous ?? fromMs;
    return toMs - last > longest.ms ? { ms: toMs - last, fromMs: last } : longest;
  }

  /** Successful answers in each of `buckets` equal parts of [fromMs, toMs). */
  histogram(fromMs: number, toMs: number, buckets: number): number[] {
    const counts = Array.from({ length: buckets }, () => 0);
    for (let index = this.#firstAtOrAfter(fromMs); index < this.#times.length; index += 1) {
      const time = this.#times[index] ?? 0;
      if (time >= toMs) break;
      const bucket = Math.min(buckets - 1, Math.floor(((time - fromMs) / (toMs - fromMs)) * buckets));
      counts[bucket] = (counts[bucket] ?? 0) + 1;
    }
    return counts;
  }

  #firstAtOrAfter(timeMs: number): number {
    let low = 0;
    let high = this.#times.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#times[middle] ?? 0) < timeMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
