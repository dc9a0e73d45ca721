/**
 * The long effects of a host's life, one at a time: the one before is aborted when the next begins, and the next starts
 * only when it has really ended. So no two of them ever touch the databases or the log together.
 */
export class Stages {
  #current = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;

  /** Runs `stage` after the one before has ended; what it throws goes to `onFailed`, unless it was aborted. */
  begin(stage: (signal: AbortSignal) => Promise<void>, onFailed: (error: unknown) => void): void {
    this.#current.abort(new Error("the next stage begins"));
    const controller = new AbortController();
    this.#current = controller;
    this.#work = this.#work
      .then(() => (controller.signal.aborted || this.#isClosed ? undefined : stage(controller.signal)))
      .catch((error: unknown) => {
        if (!controller.signal.aborted) onFailed(error);
      });
  }

  /** Resolves when no stage is under way. */
  settled(): Promise<void> {
    return this.#work;
  }

  /** No stage begins any more; resolves when the last one has ended. */
  async close(reason: string): Promise<void> {
    this.#isClosed = true;
    this.#current.abort(new Error(reason));
    await this.#work;
  }

  /** Stages that are asked for from now on are not begun; the one under way goes on. */
  closeToNew(): void {
    this.#isClosed = true;
  }
}
