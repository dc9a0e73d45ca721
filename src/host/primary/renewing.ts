/**
 * Renews the lease during work of capture that may take longer than the lease.
 *
 * The work gives the event loop a turn every few milliseconds; a due renewal is put in such a turn. Only the journal's
 * loop puts, and it is here while the work lasts, so there is one put in flight (R2).
 */
import type { Clock, Timer } from "../../runtime/clock.ts";

export interface Renewals {
  /** True if nothing is to be put any more. */
  isOver(): boolean;
  /** Until the next renewal is due. */
  renewInMs(): number;
  renew(): Promise<void>;
  /** A renewal failed; called at once, while the work may still be running. */
  onFailed(error: unknown): void;
}

/** Resolves or rejects as the work does, and not before it. */
export async function renewingDuring<T>(work: Promise<T>, clock: Clock, renewals: Renewals): Promise<T> {
  let isDone = false;
  let wake: (() => void) | undefined;
  const onDone = (): void => {
    isDone = true;
    wake?.();
  };
  const done = work.then(onDone, onDone);
  try {
    while (!isDone && !renewals.isOver()) {
      const renewInMs = renewals.renewInMs();
      if (renewInMs <= 0) {
        await renewals.renew();
        continue;
      }
      let timer: Timer | undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
        timer = clock.setTimer(renewInMs, resolve);
      });
      timer?.cancel();
    }
  } catch (error) {
    renewals.onFailed(error);
  }
  await done;
  return work;
}
