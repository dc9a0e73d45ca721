/**
 * Owns work that is not awaited: each promise is kept until it settles, `settled` waits for all of them, and a
 * rejection, which is a programming error here, goes to `onDefect`.
 */
export class BackgroundTasks {
  readonly #running = new Set<Promise<void>>();
  readonly #onDefect: (error: unknown) => void;

  /** Without `onDefect` a rejection becomes an unhandled one, which ends the process. */
  constructor(onDefect: (error: unknown) => void = rethrow) {
    this.#onDefect = onDefect;
  }

  own(work: Promise<unknown>): void {
    const kept = work.then(() => undefined, this.#onDefect).finally(() => this.#running.delete(kept));
    this.#running.add(kept);
  }

  /** Resolves once nothing is running. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}

function rethrow(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
