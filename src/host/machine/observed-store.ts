/** Reports the result of every put of this host, so that the condition of the vault is known from the work itself. */
import type { Clock } from "../../runtime/clock.ts";
import { ForwardingStore, type StoreOperation } from "../../vault/store/forwarding-store.ts";
import type { Store } from "../../vault/store/store.ts";

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

  protected override async perform<T>(operation: StoreOperation, _key: string, run: () => Promise<T>): Promise<T> {
    if (operation !== "put") return run();
    const startedAt = this.#clock.now();
    let result: T;
    try {
      result = await run();
    } catch (error) {
      this.#observer.onPutFailed(error);
      throw error;
    }
    // An existing object may have been found by a look-up only: nothing was written.
    if (!isExisting(result)) this.#observer.onPut(this.#clock.now() - startedAt);
    return result;
  }
}

const isExisting = (result: unknown): boolean =>
  typeof result === "object" && result !== null && "kind" in result && result.kind === "exists";
