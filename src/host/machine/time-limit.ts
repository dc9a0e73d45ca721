/** Waiting for something that may never come, for so long and no longer. */
import type { Clock } from "../../runtime/clock.ts";

/** False when the work is not over by then: it goes on, and nobody hears how it ended. Rejects when it fails before. */
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
