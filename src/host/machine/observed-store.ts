/**
 * Tells of every put of this host how it went: the way to the vault is known from the work itself, without asking more.
 */
import type { Clock } from "../../runtime/clock.ts";
import type { PutOutcome, Store } from "../../vault/store/store.ts";

export interface PutObserver {
  onPut(ms: number): void;
  onPutFailed(error: unknown): void;
}

export class ObservedStore implements Store {
  readonly url: string;
  readonly #inner: Store;
  readonly #clock: Clock;
  readonly #observer: PutObserver;

  constructor(inner: Store, clock: Clock, observer: PutObserver) {
    this.url = inner.url;
    this.#inner = inner;
    this.#clock = clock;
    this.#observer = observer;
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    const startedAt = this.#clock.now();
    let outcome: PutOutcome;
    try {
      outcome = await this.#inner.putIfAbsent(key, bytes);
    } catch (error) {
      this.#observer.onPutFailed(error);
      throw error;
    }
    // What exists may have been found by looking only: nothing was written.
    if (outcome.kind === "created") this.#observer.onPut(this.#clock.now() - startedAt);
    return outcome;
  }

  prepare(key: string, bytes: Uint8Array): void {
    this.#inner.prepare(key, bytes);
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#inner.get(key);
  }

  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<string[]> {
    return this.#inner.list(prefix, options);
  }

  delete(key: string): Promise<void> {
    return this.#inner.delete(key);
  }
}
