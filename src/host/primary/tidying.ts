/**
 * Continues capture's housekeeping while a record is being put: a RESTART or TRUNCATE checkpoint of the application
 * keeps every writer out until the pins have moved twice, and a put may take as long as the vault's disk does.
 *
 * Housekeeping that is due when a put begins is done at once, while the vault's disk works: done after the put, it
 * would delay the responses that wait for it.
 */
import type { Clock, Timer } from "../../runtime/clock.ts";

const everyMs = 2;

export interface Tidying {
  /** Work is due already. */
  readonly isDue: boolean;
  /** Never runs beside itself. */
  tidy(): Promise<void> | undefined;
  onFailed(error: unknown): void;
}

/** Resolves or rejects as the put does. `tidy` does not run after this has ended; its errors are reported. */
export async function tidyingDuring<T>(put: Promise<T>, clock: Clock, { isDue, tidy, onFailed }: Tidying): Promise<T> {
  let isDone = false;
  let wake: (() => void) | undefined;
  const onDone = (): void => {
    isDone = true;
    wake?.();
  };
  const pause = async (forMs: number): Promise<void> => {
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      wake = resolve;
      timer = clock.setTimer(forMs, resolve);
      if (isDone) resolve();
    });
    timer?.cancel();
  };
  put.then(onDone, onDone);
  // What the put does before it waits for the disk comes first.
  await pause(isDue ? 0 : everyMs);
  while (!isDone) {
    try {
      await tidy();
    } catch (error) {
      onFailed(error);
      break;
    }
    await pause(everyMs);
  }
  return put;
}
