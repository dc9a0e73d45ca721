/** Sorts a large array without standing in the way of the event loop: short runs are sorted, then merged pairwise. */
import { EventLoopBudget } from "./event-loop-budget.ts";

/** Sorted at once: well under a millisecond. */
const runLength = 1024;

/** Returns a sorted copy. Items that compare as equal keep their order. */
export async function sortInTurns<T>(items: Iterable<T>, compare: (a: T, b: T) => number): Promise<T[]> {
  const budget = new EventLoopBudget();
  const all = [...items];
  let runs: T[][] = [];
  for (let at = 0; at < all.length; at += runLength) {
    runs.push(all.slice(at, at + runLength).sort(compare));
    await budget.yieldIfDue();
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2)
      merged.push(await mergeInTurns(runs[at] ?? [], runs[at + 1] ?? [], compare, budget));
    runs = merged;
  }
  return runs[0] ?? [];
}

async function mergeInTurns<T>(
  left: readonly T[],
  right: readonly T[],
  compare: (a: T, b: T) => number,
  budget: EventLoopBudget,
): Promise<T[]> {
  const merged: T[] = [];
  let [l, r] = [0, 0];
  while (l < left.length || r < right.length) {
    const takesLeft = r >= right.length || (l < left.length && compare(left[l] as T, right[r] as T) <= 0);
    merged.push((takesLeft ? left[l++] : right[r++]) as T);
    if (merged.length % runLength === 0) await budget.yieldIfDue();
  }
  return merged;
}
