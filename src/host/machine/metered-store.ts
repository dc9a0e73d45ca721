/** Times every operation on a vault, by kind and result. */
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import { ForwardingStore, type StoreOperation } from "../../vault/store/forwarding-store.ts";
import type { Store } from "../../vault/store/store.ts";

export class MeteredStore extends ForwardingStore {
  readonly #clock: Clock;
  readonly #metrics: Metrics;

  constructor(inner: Store, clock: Clock, metrics: Metrics) {
    super(inner);
    this.#clock = clock;
    this.#metrics = metrics;
  }

  protected override perform<T>(operation: StoreOperation, _key: string, run: () => Promise<T>): Promise<T> {
    const since = this.#clock.now();
    const observe = (result: string): void =>
      this.#metrics
        .histogram("stead_vault_operation_seconds", { operation, result })
        .observe((this.#clock.now() - since) / 1_000);
    const work = run();
    work.then(
      () => observe("ok"),
      () => observe("failed"),
    );
    return work;
  }
}
