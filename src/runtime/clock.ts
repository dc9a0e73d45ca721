/**
 * Time as a port. Everything that waits or measures takes a `Clock`, so that the simulation can replace it.
 *
 * There are two kinds of time, never mixed: `now()` is monotonic, and only its differences mean something (leases,
 * timeouts); `wallTime()` is the calendar, and is only shown or stored, never compared between machines.
 */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds since an arbitrary start; fractional. */
  now(): number;
  /** Wall-clock time in milliseconds since 1970-01-01 UTC. */
  wallTime(): number;
  /** Calls `callback` once after `delayMs` (0: behind what is ready to run now), unless cancelled. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Resolves after `delayMs`; rejects with the signal's reason if it is aborted first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallTime: () => Date.now(),
  setTimer(delayMs, callback) {
    // A timeout takes a millisecond at least.
    if (delayMs <= 0) {
      const handle = setImmediate(callback);
      return { cancel: () => clearImmediate(handle) };
    }
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
  sleep: (delayMs, signal) => sleepOn(systemClock, delayMs, signal),
};

/** Implements `sleep` with `setTimer`, for any clock. */
export function sleepOn(clock: Pick<Clock, "setTimer">, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
