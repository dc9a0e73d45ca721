/**
 * A hybrid logical clock (Kulkarni et al. 2014): wall time that never goes back, with a counter for events within one
 * millisecond. Its stamps are text that sorts like time, so "the newer of two writes" is the same everywhere, whatever
 * the machines' clocks do. A stamp from elsewhere moves it forward.
 *
 * The counter carries into the milliseconds, so that a stamp always has its form: peers refuse a longer one. How one
 * would try to stop it: a stamp from elsewhere with a full counter. The next stamp is one millisecond later, and
 * receivers refuse such stamps anyway (core/replication/row.ts).
 *
 * Attacked in test/security/C2-clocks.test.ts: "carries into the milliseconds".
 */
import { stampCounterMax } from "../../core/replication/row.ts";

export class HybridClock {
  readonly #wallTime: () => number;
  #lastMs = 0;
  #counter = 0;

  constructor(wallTime: () => number) {
    this.#wallTime = wallTime;
  }

  next(): string {
    const wallMs = Math.floor(this.#wallTime());
    if (wallMs > this.#lastMs) {
      this.#lastMs = wallMs;
      this.#counter = 0;
    } else if (this.#counter + 1 < stampCounterMax) {
      this.#counter++;
    } else {
      this.#lastMs++;
      this.#counter = 0;
    }
    return format(this.#lastMs, this.#counter);
  }

  /** The last stamp made or seen. */
  get last(): string {
    return format(this.#lastMs, this.#counter);
  }

  /** Forgets all stamps: for a clock that was far ahead. */
  reset(): void {
    this.#lastMs = 0;
    this.#counter = 0;
  }

  /** Makes every later stamp greater than this one. */
  observe(stamp: string): void {
    const [ms, counter] = stamp.split("-").map(Number);
    if (ms === undefined || counter === undefined || !Number.isSafeInteger(ms) || !Number.isSafeInteger(counter))
      return;
    if (ms < this.#lastMs || (ms === this.#lastMs && counter <= this.#counter)) return;
    this.#lastMs = ms;
    this.#counter = counter;
  }
}

const format = (ms: number, counter: number): string =>
  `${String(ms).padStart(15, "0")}-${String(counter).padStart(8, "0")}`;
