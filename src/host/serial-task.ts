/**
 * Runs one piece of work at a time: a new one aborts the previous one, and starts only once that has really ended. Two
 * of them therefore never touch the databases or the log together.
 */
export class SerialTask {
  #current = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Runs `work` after the previous one has ended; errors go to `onFailed`, unless it was aborted. */
  begin(work: (signal: AbortSignal) => Promise<void>, onFailed: (error: unknown) => void): void {
    this.#current.abort(new Error("the next stage begins"));
    const controller = new AbortController();
    this.#current = controller;
    this.#ended = this.#ended
      .then(() => (controller.signal.aborted || this.#isClosed ? undefined : work(controller.signal)))
      .catch((error: unknown) => {
        if (!controller.signal.aborted) onFailed(error);
      });
  }

  /** Aborts the work in progress, and begins nothing else. */
  abort(reason: string): void {
    this.#current.abort(new Error(reason));
  }

  /** Accepts no more work; the piece in progress continues. */
  closeToNew(): void {
    this.#isClosed = true;
  }

  /** Aborts the work in progress; resolves once it has ended, and accepts no more. */
  async close(reason: string): Promise<void> {
    this.#isClosed = true;
    this.abort(reason);
    await this.#ended;
  }
}
