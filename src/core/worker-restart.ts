/**
 * When a worker process that ended is restarted: at once the first time, later each time it ends again soon. A worker
 * that cannot live must not keep the machine busy, and one that was killed once must return at once.
 */
export interface RestartState {
  /** Endings in a row, none of them after a long life. */
  readonly endsInRow: number;
}

export const freshRestart: RestartState = { endsInRow: 0 };

/** A worker that lived for this long was healthy. */
export const wellAfterMs = 30_000;
export const restartDelayMsMax = 5_000;
const firstDelayMs = 50;

/** The worker ended after `livedMs`. */
export function afterEnd(
  state: RestartState,
  livedMs: number,
): { readonly state: RestartState; readonly delayMs: number } {
  const endsInRow = livedMs >= wellAfterMs ? 1 : state.endsInRow + 1;
  const delayMs = endsInRow === 1 ? 0 : Math.min(restartDelayMsMax, firstDelayMs * 2 ** (endsInRow - 2));
  return { state: { endsInRow }, delayMs };
}
