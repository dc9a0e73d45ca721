/**
 * A partition for a drill: for a bounded time this host answers no call of its control API, and does nothing on its
 * vault. To gateways and to the other hosts it is then as silent as one that is cut off.
 *
 * It is as safe as a real one. The lease counts from the time at which a put was asked for, so the gate shuts when it
 * is over, whatever waits here. A put that waited is performed afterwards, and the log decides: the position is taken
 * by then, and this host is fenced (R1, R2). It ends by a timer of this process, or with the process.
 */
import type { Clock } from "../../runtime/clock.ts";
import { ForwardingStore, type StoreOperation } from "../../vault/store/forwarding-store.ts";
import type { Store } from "../../vault/store/store.ts";

export class Partition {
  readonly #clock: Clock;
  #over: Promise<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when it is over; undefined: there is none. */
  get over(): Promise<void> | undefined {
    return this.#over;
  }

  /** A second one has no effect while one lasts. */
  begin(forMs: number): void {
    if (this.#over !== undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#over = promise;
    this.#clock.setTimer(forMs, () => {
      this.#over = undefined;
      resolve();
    });
  }
}

/** A vault that is out of reach while there is a partition. */
export class PartitionedStore extends ForwardingStore {
  readonly #partition: Partition;

  constructor(inner: Store, partition: Partition) {
    super(inner);
    this.#partition = partition;
  }

  protected override perform<T>(_operation: StoreOperation, _key: string, run: () => Promise<T>): Promise<T> {
    const { over } = this.#partition;
    return over === undefined ? run() : over.then(run);
  }
}
