/**
 * Continues capture's housekeeping while a record is being put: a RESTART or TRUNCATE checkpoint of the application
 * keeps every writer out until the pins have moved twice, and a put may take as long as the vault's disk does.
 */
import type { Clock, Timer } from "../../runtime/clock.ts";

const everyMs = 2;

/**
 * Resolves or rejects as the put does. `tidy` never runs beside itself, and not after this has ended; its errors are
 * reported.
 */
export async function tidyingDuring<T>(
  put: Promise<T>,
  clock: Clock,
  tidy: () => Promise<void> | undefined,
  onFailed: (error: unknown) => void,
): Promise<T> {
  let isDone = false;
  let wake: (() => void) | undefined;
  const onDone = (): void => {
    isDone = true;
    wake?.();
  };
  put.then(onDone, onDone);
  for (;;) {
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      wake = resolve;
      timer = clock.setTimer(everyMs, resolve);
      if (isDone) resolve();
    });
    timer?.cancel();
    if (isDone) return put;
    try {
      await tidy();
    } catch (error) {
      onFailed(error);
      return put;
    }
  }
}
