/**
 * A store whose operations end: what takes longer than `vault_timeout` counts as ambiguous (puts) or failed (others).
 *
 * A network file system that is gone may not answer for minutes, or never. Without an end to the waiting a host would
 * say nothing, could not be stopped, and would look well. With it the callers' own retries go on, and status says why.
 *
 * An operation that was given up still runs, and holds a thread. So the same key is not asked again before that one has
 * returned: a retry waits for it first, and is made anew only then. Its late result is not used: a look-up that began
 * earlier says nothing about the end of the log now (R1), and a put is decided by its repetition with the same bytes
 * (R3).
 */
import type { Clock } from "../../runtime/clock.ts";
import { type PutOutcome, type Store, StoreError, type StoreErrorKind } from "../../vault/store/store.ts";

export class TimedStore implements Store {
  readonly url: string;
  readonly #inner: Store;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** Given up, but not over. */
  readonly #hanging = new Map<string, Promise<void>>();

  constructor(inner: Store, clock: Clock, timeoutMs: number) {
    this.url = inner.url;
    this.#inner = inner;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    return this.#within(`put ${key}`, "ambiguous", () => this.#inner.putIfAbsent(key, bytes));
  }

  /** Without an end to it: the put that follows waits for it, within its own time. */
  prepare(key: string, bytes: Uint8Array): void {
    this.#inner.prepare(key, bytes);
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#within(`get ${key}`, "unavailable", () => this.#inner.get(key));
  }

  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<string[]> {
    return this.#within(`list ${prefix}`, "unavailable", () => this.#inner.list(prefix, options));
  }

  delete(key: string): Promise<void> {
    return this.#within(`delete ${key}`, "unavailable", () => this.#inner.delete(key));
  }

  #within<T>(what: string, kind: StoreErrorKind, operation: () => Promise<T>): Promise<T> {
    const earlier = this.#hanging.get(what);
    const work = earlier === undefined ? operation() : earlier.then(operation);
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(this.#timeoutMs, () => {
        this.#hang(what, work);
        reject(
          new StoreError(
            kind,
            `${what} in ${this.url}: no answer within ${this.#timeoutMs} ms`,
            "Is the server of the shared area up and reachable? It continues by itself then.",
          ),
        );
      });
      work.then(
        (value) => {
          timer.cancel();
          resolve(value);
        },
        (error: unknown) => {
          timer.cancel();
          reject(error);
        },
      );
    });
  }

  #hang(what: string, work: Promise<unknown>): void {
    const over: Promise<void> = work
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        if (this.#hanging.get(what) === over) this.#hanging.delete(what);
      });
    this.#hanging.set(what, over);
  }
}
