/**
 * Runs one piece of work at a time: a new one aborts the one before, and starts only when that has really ended. So no
 * two of them ever touch the databases or the log together.
 */
export class SerialTask {
  #current = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Runs `work` after the one before has ended; what it throws goes to `onFailed`, unless it was aborted. */
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

  /** Aborts what is under way; nothing else begins by that. */
  abort(reason: string): void {
    this.#current.abort(new Error(reason));
  }

  /** No work begins any more; the piece under way goes on. */
  closeToNew(): void {
    this.#isClosed = true;
  }

  /** Aborts what is under way; resolves when it has ended, and none begins any more. */
  async close(reason: string): Promise<void> {
    this.#isClosed = true;
    this.abort(reason);
    await this.#ended;
  }
}
