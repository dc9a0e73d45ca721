/** Retries store operations until they succeed: pauses double from the shortest to the longest, with jitter. */
import type { Clock } from "../../runtime/clock.ts";
import type { Random } from "../../runtime/random.ts";
import { retryPauseMsMax, retryPauseMsMin } from "../limits.ts";
import { StoreError } from "./store.ts";

export interface RetryPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly signal?: AbortSignal | undefined;
  /** Called for each failure that is retried: the vault is full, slow, away. */
  readonly onFailure?: ((error: StoreError) => void) | undefined;
}

/** Full, denied, unavailable, ambiguous are transient; `unsuitable` and errors that are not the store's are not. */
export const isTransient = (error: unknown): error is StoreError =>
  error instanceof StoreError && error.kind !== "unsuitable";

/** Waits before attempt number `failures + 1`. Rejects with the signal's reason. */
export async function pauseBeforeRetry(ports: RetryPorts, failures: number): Promise<void> {
  const longest = Math.min(retryPauseMsMax, retryPauseMsMin * 2 ** Math.min(failures - 1, 20));
  await ports.clock.sleep(longest * (0.5 + ports.random.fraction() / 2), ports.signal);
}

/** Repeats a read operation until it answers. Rejects with a permanent error, or with the signal's reason. */
export async function retryUntilAnswered<T>(ports: RetryPorts, operation: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; ) {
    ports.signal?.throwIfAborted();
    try {
      return await operation();
    } catch (error) {
      if (!isTransient(error)) throw error;
      ports.onFailure?.(error);
      failures += 1;
      await pauseBeforeRetry(ports, failures);
    }
  }
}
