/** Gives the event loop a turn whenever work on it has lasted a few milliseconds. */
import { setImmediate as immediate } from "node:timers/promises";

/** Work on the event loop without a turn for anything else. */
const sliceMs = 4;

export class EventLoopBudget {
  #started = performance.now();

  /** Yields when the current slice is used up. Call it between chunks that each take well under a millisecond. */
  async yieldIfDue(): Promise<void> {
    if (performance.now() - this.#started < sliceMs) return;
    await immediate();
    this.#started = performance.now();
  }
}
