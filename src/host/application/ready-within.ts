/** Waits for an application that is being restarted. */
import type { CancellationGroup } from "../../runtime/cancellation-group.ts";
import type { Clock } from "../../runtime/clock.ts";

/** After this a request is returned to its gateway. */
const restartWaitMs = 5_000;

/** Returns false if the time is over, or if the term ends: its application may never be ready again. */
export function readyWithin(
  term: { whenReady(): Promise<void> },
  clock: Clock,
  end: CancellationGroup,
): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = (isReady: boolean): void => {
      timer.cancel();
      end.delete(ended);
      resolve(isReady);
    };
    const ended = { onAbort: () => answer(false) };
    const timer = clock.setTimer(restartWaitMs, () => answer(false));
    end.add(ended);
    term.whenReady().then(
      () => answer(end.reason === undefined),
      () => answer(false),
    );
  });
}
