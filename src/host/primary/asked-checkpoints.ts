/**
 * Checkpoints that the application asks for (`Stead-Checkpoint: now`), at most one per `intervalMs`: each response can
 * ask for one, and a client may cause the response. An early request is not lost: one checkpoint follows for all that
 * were made meanwhile, so whatever was committed before a request is in a checkpoint soon.
 */
import type { Clock, Timer } from "../../runtime/clock.ts";

export interface AskedCheckpointsOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Begins a checkpoint; false: one is being written, which may have begun before the request. */
  readonly begin: () => boolean;
}

export class AskedCheckpoints {
  readonly #options: AskedCheckpointsOptions;
  #lastAt = -Infinity;
  #timer: Timer | undefined;

  constructor(options: AskedCheckpointsOptions) {
    this.#options = options;
  }

  onAsked(): void {
    if (this.#timer !== undefined) return;
    const { clock, intervalMs } = this.#options;
    const waitMs = this.#lastAt + intervalMs - clock.now();
    if (waitMs > 0) this.#beginAfter(waitMs);
    else this.#begin();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #begin(): void {
    const { clock, intervalMs, begin } = this.#options;
    if (begin()) this.#lastAt = clock.now();
    else this.#beginAfter(intervalMs);
  }

  #beginAfter(ms: number): void {
    this.#timer = this.#options.clock.setTimer(ms, () => {
      this.#timer = undefined;
      this.#begin();
    });
  }
}
