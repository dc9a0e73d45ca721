/** Random numbers from a seed: the same `--seed` draws the same events and the same load. Not for secrets. */
export interface Dice {
  /** A number in [0, 1). */
  fraction(): number;
  /** An integer in [0, below). */
  below(below: number): number;
  /** A new list in drawn order. */
  shuffled<T>(items: readonly T[]): T[];
}

/** Mulberry32 (Tommy Ettinger, public domain): 32 bits of state, more than enough for drawing loads. */
export function seededDice(seed: number): Dice {
  let state = seed >>> 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const below = (limit: number): number => Math.floor(fraction() * limit);
  return {
    fraction,
    below,
    shuffled(items) {
      const keyed = items.map((item) => ({ item, key: fraction() }));
      return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
    },
  };
}
