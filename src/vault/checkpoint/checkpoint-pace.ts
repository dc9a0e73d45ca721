/**
 * How fast a checkpoint goes: as fast as the disk while it is alone, and gently while commits wait for the same disk
 * and thread pool.
 */
import type { Clock } from "../../runtime/clock.ts";

/** Runs the work on each chunk of a checkpoint when it may begin. */
export interface ChunkPace {
  run<T>(work: () => Promise<T>): Promise<T>;
}

export interface CheckpointPaceOptions {
  readonly clock: Clock;
  /** Share of the time in which a checkpoint works while others are busy: above 0 and at most 1 (no pause). */
  readonly share: number;
  /** Chunks at a time while no others are. */
  readonly lanes: number;
  /** True while commits are made. */
  readonly isBusy: () => boolean;
}

/**
 * While others are busy there is one chunk at a time, and after each a pause of its duration times (1 - share) / share.
 * Chunks that are in progress when others become busy are ended first.
 */
export class CheckpointPace implements ChunkPace {
  readonly #options: CheckpointPaceOptions;
  #inProgress = 0;
  /** Pause before the next chunk, if others are busy then. */
  #restMs = 0;
  #waiting: (() => void)[] = [];

  constructor(options: CheckpointPaceOptions) {
    const { share } = options;
    if (!(share > 0 && share <= 1)) throw new RangeError(`share is ${share}, not above 0 and at most 1`);
    this.#options = options;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const { clock, share, lanes, isBusy } = this.#options;
    while (this.#inProgress >= (isBusy() ? 1 : lanes)) await this.#untilOneEnds();
    this.#inProgress += 1;
    try {
      if (this.#restMs > 0 && isBusy()) await clock.sleep(this.#restMs);
      const startedAt = clock.now();
      const result = await work();
      this.#restMs = ((clock.now() - startedAt) * (1 - share)) / share;
      return result;
    } finally {
      this.#inProgress -= 1;
      for (const wake of this.#waiting.splice(0)) wake();
    }
  }

  #untilOneEnds(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }
}
