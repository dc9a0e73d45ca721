/**
 * A store whose operations end: one that takes longer than `vault_timeout` counts as ambiguous (puts) or failed
 * (others).
 *
 * A network file system that is gone may not answer for minutes, or never. Without a limit a host would say nothing,
 * could not be stopped, and would look healthy. With it the callers' own retries continue, and status says why.
 *
 * An abandoned operation still runs, and holds a thread. The same key is therefore not used again before that operation
 * has returned: a retry first waits for it. Its late result is not used: a look-up that began earlier says nothing
 * about the end of the log now (R1), and a put is decided by its repetition with the same bytes (R3).
 */
import type { Clock } from "../../runtime/clock.ts";
import { ForwardingStore, type StoreOperation } from "../../vault/store/forwarding-store.ts";
import { type Store, StoreError } from "../../vault/store/store.ts";

/** A prepare is not bounded: the put that follows waits for it, within its own time. */
export class TimedStore extends ForwardingStore {
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  /** Abandoned, but not over. */
  readonly #hanging = new Map<string, Promise<void>>();

  constructor(inner: Store, clock: Clock, timeoutMs: number) {
    super(inner);
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  protected override perform<T>(operation: StoreOperation, key: string, run: () => Promise<T>): Promise<T> {
    const what = `${operation} ${key}`;
    const earlier = this.#hanging.get(what);
    const work = earlier === undefined ? run() : earlier.then(run);
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(this.#timeoutMs, () => {
        this.#hang(what, work);
        reject(this.#noAnswer(operation, what));
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

  #noAnswer(operation: StoreOperation, what: string): StoreError {
    return new StoreError(
      operation === "put" ? "ambiguous" : "unavailable",
      `${what} in ${this.url}: no answer within ${this.#timeoutMs} ms`,
      "Is the server of the shared area up and reachable? It continues by itself then.",
    );
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
