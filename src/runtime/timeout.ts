/** A bounded wait for work that may never end. */
import type { Clock } from "./clock.ts";

/**
 * Returns false if the work is not over within `limitMs`; it then continues, and its outcome is not reported. Rejects
 * if it fails before.
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
