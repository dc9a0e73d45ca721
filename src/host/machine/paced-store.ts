/** Reads a vault no faster than a given rate: work in the background leaves the disk and the network to others. */
import type { Clock } from "../../runtime/clock.ts";
import { ForwardingStore, type StoreOperation } from "../../vault/store/forwarding-store.ts";
import type { Store } from "../../vault/store/store.ts";

export interface Pace {
  readonly clock: Clock;
  readonly bytesPerSecond: number;
  readonly signal: AbortSignal;
}

export class PacedStore extends ForwardingStore {
  readonly #pace: Pace;
  /** Until when what was read would have taken. */
  #busyUntil = -Infinity;

  constructor(inner: Store, pace: Pace) {
    super(inner);
    this.#pace = pace;
  }

  protected override async perform<T>(operation: StoreOperation, _key: string, run: () => Promise<T>): Promise<T> {
    const { clock, bytesPerSecond, signal } = this.#pace;
    const startedAt = clock.now();
    const result = await run();
    if (operation !== "get" || !(result instanceof Uint8Array)) return result;
    this.#busyUntil = Math.max(this.#busyUntil, startedAt) + (result.length / bytesPerSecond) * 1_000;
    const restMs = this.#busyUntil - clock.now();
    if (restMs > 0) await clock.sleep(restMs, signal);
    return result;
  }
}
