/**
 * After an ending of the application, gateways resend the requests that were in flight, all at once, including the one
 * that ends it. Let through one at a time, that one cannot take the others with it a second time, which would cost each
 * of them its only repetition. A turn ends with the response, or after `turnMs`: a slow request does not delay the
 * others.
 *
 * A request that was cleared in between, because another with its path completed, is `beside` the turns, and may also
 * have been lost once. A turn therefore begins once those beside it are answered, and they wait while a turn is in
 * progress, each for `apartMs` at most: a request that ends its application at once takes none of them with it; one
 * that does so later may.
 */
import type { Clock } from "../../runtime/clock.ts";

/**
 * Longer than an application takes for an ordinary request just after its start, even on a busy machine: two at once
 * could share an ending.
 */
const turnMs = 2_000;
/** A request that has waited this long goes back to its gateway. */
const probationWaitMs = 5_000;
const waitingMax = 1_000;
/** How long a turn and requests beside it wait for each other: most requests that end an application do so sooner. */
const apartMs = 250;

export class Probation {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #isTaken = false;
  /** In progress beside the turns. */
  #beside = 0;
  readonly #waitingBeside = new Set<() => void>();
  readonly #waitingAlone = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with the function that ends the turn (always call it), or with undefined if it would take too long. */
  async turn(): Promise<(() => void) | undefined> {
    if (this.#isTaken) {
      if (this.#waiting.size >= waitingMax) return undefined;
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const mine = (): void => resolve(true);
      // A waiter that gives up leaves the queue at the same moment: a turn given to an absent waiter would never end.
      const timer = this.#clock.setTimer(probationWaitMs, () => resolve(!this.#waiting.delete(mine)));
      this.#waiting.add(mine);
      const isMine = await promise;
      timer.cancel();
      if (!isMine) return undefined;
    }
    this.#isTaken = true;
    if (this.#beside > 0) await this.#wait(this.#waitingAlone, () => undefined);
    return this.#begin();
  }

  /** For a request that is not on probation. Resolves with the function to call when it is answered. */
  async beside(): Promise<() => void> {
    const enter = (): void => void (this.#beside += 1);
    if (this.#isTaken) await this.#wait(this.#waitingBeside, enter);
    else enter();
    return () => {
      this.#beside -= 1;
      if (this.#beside === 0) for (const go of [...this.#waitingAlone]) go();
    };
  }

  /** `enter` is called at the moment in which the wait ends. */
  #wait(waiting: Set<() => void>, enter: () => void): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        timer.cancel();
        waiting.delete(go);
        enter();
        resolve();
      };
      const timer = this.#clock.setTimer(apartMs, go);
      waiting.add(go);
    });
  }

  #begin(): () => void {
    let isOver = false;
    const passTurn = (): void => {
      timer.cancel();
      if (!isOver) this.#next();
      isOver = true;
    };
    const timer = this.#clock.setTimer(turnMs, passTurn);
    return passTurn;
  }

  /** The turn stays taken: the next waiter has it from here on. */
  #next(): void {
    for (const go of [...this.#waitingBeside]) go();
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      next();
      return;
    }
    this.#isTaken = false;
  }
}
