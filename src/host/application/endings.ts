/**
 * Announces that the application's process ended by itself: parts with requests in flight are told at once, and a part
 * that lost one can ask whether that was the cause.
 *
 * The kernel closes the sockets of an ending process before the process can be waited for: the loss of a connection is
 * seen some milliseconds before the end of the process. A loss therefore waits up to `detectionMs` for the ending. A
 * later one makes one request "closed by a living application": its client gets a 502 where a repetition would have
 * been possible, and nothing is executed twice. The wait delays only clients of an application that closes connections
 * without an answer. If the ending is known first, its listeners know what was in flight at that moment.
 */
import type { Clock } from "../../runtime/clock.ts";

/**
 * Longer than a process takes from closing its files until its exit is noticed, even on a machine with many more
 * processes than processors.
 */
export const detectionMs = 1_000;

export class Endings {
  readonly #clock: Clock;
  readonly #isExiting: () => boolean;
  readonly #waiting = new Set<(hasEnded: boolean) => void>();
  readonly #listeners = new Set<() => void>();

  /** `isExiting`: looks whether the process is ending; default: that cannot be seen. */
  constructor(clock: Clock, isExiting: () => boolean = () => false) {
    this.#clock = clock;
    this.#isExiting = isExiting;
  }

  /**
   * True if the application is ending at this moment, announced or not. For an answer that only the end of its
   * connection completes: the kernel closes the connections of a killed process in the same way.
   */
  get isUnderWay(): boolean {
    return this.#isExiting();
  }

  /** Tells listeners that the application ended without having been asked to. */
  announce(): void {
    for (const tell of [...this.#listeners]) tell();
    for (const answer of [...this.#waiting]) answer(true);
  }

  /** `tell` is called at each ending, before any other part learns of it. */
  listen(tell: () => void): void {
    this.#listeners.add(tell);
  }

  /** Resolves with whether its end is noticed within the wait. */
  async isNoticed(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.add(resolve);
    const timer = this.#clock.setTimer(detectionMs, () => resolve(false));
    const hasEnded = await promise;
    timer.cancel();
    this.#waiting.delete(resolve);
    return hasEnded;
  }
}
