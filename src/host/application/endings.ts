/**
 * When the application's process ends by itself: who had requests with it is told at once, and who lost one can ask
 * whether that was why.
 *
 * The kernel closes the sockets of a process that ends before anybody can wait for it: the loss of a connection is seen
 * some milliseconds before the end of the process is. So a loss waits up to `noticeMs` for the notice. A notice that
 * comes later still makes one request "closed by a living application": its client gets an honest 502 where it could
 * have had a repetition, and nothing is executed twice. The wait costs nobody anything but the client of an application
 * that closes connections without an answer. Where the notice is first, whoever listens knows what was in flight at
 * that moment.
 */
import type { Clock } from "../../runtime/clock.ts";

/**
 * Longer than a process takes from closing its files until its exit is heard of, on a machine with many more processes
 * than processors too.
 */
export const noticeMs = 1_000;

export class Endings {
  readonly #clock: Clock;
  readonly #waiting = new Set<(hasEnded: boolean) => void>();
  readonly #listeners = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It has ended, and nobody asked it to. */
  note(): void {
    for (const tell of [...this.#listeners]) tell();
    for (const answer of [...this.#waiting]) answer(true);
  }

  /** `tell` is called at each ending, before anything else hears of it. */
  listen(tell: () => void): void {
    this.#listeners.add(tell);
  }

  /** Whether its end is noticed in the next moment. */
  async isNoticed(): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.add(resolve);
    const timer = this.#clock.setTimer(noticeMs, () => resolve(false));
    const hasEnded = await promise;
    timer.cancel();
    this.#waiting.delete(resolve);
    return hasEnded;
  }
}
