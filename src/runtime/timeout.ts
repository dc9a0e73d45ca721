/** A bounded wait for work that may never end. */
import type { Clock } from "./clock.ts";

/**
 * False when the work is not over within `limitMs`: it goes on, and how it ends is not told. Rejects when it fails
 * before.
 */
export function endsWithin(clock: Clock, limitMs: number, work: Promise<void>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(limitMs, () => resolve(false));
    work.then(
      () => {
        timer.cancel();
        resolve(true);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
