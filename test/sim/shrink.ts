/**
 * Makes a failing schedule small: takes away faults, half of them first and single ones last (delta debugging, Zeller
 * and Hildebrandt 2002), as long as the history still fails.
 */
import type { Fault } from "./faults.ts";
import type { RunOptions, RunResult } from "./run.ts";

const runsMax = 150;

export async function shrink(
  failing: RunResult,
  request: RunOptions,
  run: (request: RunOptions) => Promise<RunResult>,
): Promise<RunResult> {
  let best = failing;
  let runs = 0;
  for (let size = Math.ceil(best.faults.length / 2); size >= 1; ) {
    let isSmaller = false;
    for (let at = 0; at < best.faults.length && runs < runsMax; at += size) {
      const faults: Fault[] = best.faults.toSpliced(at, size);
      runs += 1;
      const result = await run({ ...request, faults });
      if (result.violations.length === 0) continue;
      best = result;
      isSmaller = true;
      at -= size;
    }
    if (runs >= runsMax) break;
    if (!isSmaller) size = size === 1 ? 0 : Math.ceil(size / 2);
  }
  return best;
}
