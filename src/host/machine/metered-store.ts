/** Times every operation on a vault, by what it was and whether it succeeded. */
import type { Metrics } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { PutOutcome, Store } from "../../vault/store/store.ts";

export class MeteredStore implements Store {
  readonly url: string;
  readonly #inner: Store;
  readonly #clock: Clock;
  readonly #metrics: Metrics;

  constructor(inner: Store, clock: Clock, metrics: Metrics) {
    this.url = inner.url;
    this.#inner = inner;
    this.#clock = clock;
    this.#metrics = metrics;
  }

  putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    return this.#timed("put", this.#inner.putIfAbsent(key, bytes));
  }

  prepare(key: string, bytes: Uint8Array): void {
    this.#inner.prepare(key, bytes);
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#timed("get", this.#inner.get(key));
  }

  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<string[]> {
    return this.#timed("list", this.#inner.list(prefix, options));
  }

  delete(key: string): Promise<void> {
    return this.#timed("delete", this.#inner.delete(key));
  }

  #timed<T>(operation: string, work: Promise<T>): Promise<T> {
    const since = this.#clock.now();
    const note = (result: string): void =>
      this.#metrics
        .histogram("stead_vault_operation_seconds", { operation, result })
        .observe((this.#clock.now() - since) / 1_000);
    work.then(
      () => note("ok"),
      () => note("failed"),
    );
    return work;
  }
}
