/** Reports the result of every put of this host, so that the condition of the vault is known from the work itself. */
import type { Clock } from "../../runtime/clock.ts";
import { ForwardingStore } from "../../vault/store/forwarding-store.ts";
import type { PutOutcome, Store } from "../../vault/store/store.ts";

export interface PutObserver {
  onPut(ms: number): void;
  onPutFailed(error: unknown): void;
}

export class ObservedStore extends ForwardingStore {
  readonly #clock: Clock;
  readonly #observer: PutObserver;

  constructor(inner: Store, clock: Clock, observer: PutObserver) {
    super(inner);
    this.#clock = clock;
    this.#observer = observer;
  }

  override async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    const startedAt = this.#clock.now();
    let outcome: PutOutcome;
    try {
      outcome = await super.putIfAbsent(key, bytes);
    } catch (error) {
      this.#observer.onPutFailed(error);
      throw error;
    }
    // An existing object may have been found by a look-up only: nothing was written.
    if (outcome.kind === "created") this.#observer.onPut(this.#clock.now() - startedAt);
    return outcome;
  }
}
