/**
 * Seeded randomness: one seed fixes everything, and `fork` gives each part of the world a stream of its own, so that
 * removing one fault (shrinking) disturbs the others as little as possible. SplitMix32-seeded sfc32. Not for secrets.
 */
import type { Random } from "../src/runtime/random.ts";

export class SeededRandom implements Random {
  readonly #state: Uint32Array;

  constructor(seed: number | string) {
    this.#state = new Uint32Array(4);
    let mix = typeof seed === "number" ? seed >>> 0 : hashText(seed);
    for (let i = 0; i < 4; i++) {
      mix = (mix + 0x9e3779b9) | 0;
      let word = mix ^ (mix >>> 16);
      word = Math.imul(word, 0x21f0aaad);
      word ^= word >>> 15;
      word = Math.imul(word, 0x735a2d97);
      this.#state[i] = word ^ (word >>> 15);
    }
    for (let i = 0; i < 12; i++) this.#next();
  }

  /** An independent stream that depends on this one's seed and the name only when taken first. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.#next()}/${name}`);
  }

  fraction(): number {
    return this.#next() / 0x1_0000_0000;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.#next() & 0xff);
  }

  /** An integer from `least` to `most`, both included. */
  int(least: number, most: number): number {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return this.int(0, below - 1);
  }

  between(least: number, most: number): number {
    return least + this.fraction() * (most - least);
  }

  /** Exponentially distributed with this mean, cut at eight times of it. */
  around(mean: number): number {
    return Math.min(8 * mean, -Math.log(1 - this.fraction()) * mean);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.int(0, items.length - 1)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }

  /** Returns a new list in drawn order. */
  shuffled<T>(items: readonly T[]): T[] {
    const keyed = items.map((item) => ({ item, key: this.fraction() }));
    return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
  }

  #next(): number {
    const s = this.#state;
    const [a, b, c, d] = [s[0] as number, s[1] as number, s[2] as number, s[3] as number];
    const t = (((a + b) | 0) + d) | 0;
    s[3] = (d + 1) | 0;
    s[0] = b ^ (b >>> 9);
    s[1] = (c + (c << 3)) | 0;
    s[2] = (((c << 21) | (c >>> 11)) + t) | 0;
    return t >>> 0;
  }
}

export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
