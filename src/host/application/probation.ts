/**
 * After an ending of the application, the requests that it had come back: their gateways repeat them, all at once, the
 * one that ends it among them. One at a time, it can take none of the others with it a second time, which would cost
 * each of them its only repetition. A turn ends with the answer, or after `turnMs`: a slow request does not keep the
 * others waiting.
 *
 * A request that was cleared in between, because another with its path completed, is `beside` the turns, and may have
 * been lost once as well. So a turn begins when those beside it are answered, and they wait while one is under way,
 * each for `apartMs` at most: a request that ends its application at once takes none of them with it; one that does so
 * later may.
 */
import type { Clock } from "../../runtime/clock.ts";

/**
 * Longer than an application takes for an ordinary request just after its start, on a busy machine too: two at once
 * could share an ending.
 */
const turnMs = 2_000;
/** Who has waited so long goes back to its gateway. */
const probationWaitMs = 5_000;
const waitingMax = 1_000;
/** A turn and what is beside it wait for each other for so long: most requests that end an application do so sooner. */
const apartMs = 250;

export class Probation {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #isTaken = false;
  /** Under way beside the turns. */
  #beside = 0;
  readonly #waitingBeside = new Set<() => void>();
  readonly #waitingAlone = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves with what ends the turn (call it in any case), or with undefined when it would take too long. */
  async turn(): Promise<(() => void) | undefined> {
    if (this.#isTaken) {
      if (this.#waiting.size >= waitingMax) return undefined;
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const mine = (): void => resolve(true);
      // Whoever gives up is out of the queue in the same moment: a turn that is given to nobody would never end.
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

  /** For a request that is not on probation. Resolves with what to call when it is answered. */
  async beside(): Promise<() => void> {
    const enter = (): void => void (this.#beside += 1);
    if (this.#isTaken) await this.#wait(this.#waitingBeside, enter);
    else enter();
    return () => {
      this.#beside -= 1;
      if (this.#beside === 0) for (const go of [...this.#waitingAlone]) go();
    };
  }

  /** `enter` is called in the same moment in which the wait ends. */
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
    const end = (): void => {
      timer.cancel();
      if (!isOver) this.#next();
      isOver = true;
    };
    const timer = this.#clock.setTimer(turnMs, end);
    return end;
  }

  /** It stays taken: the next one has it from here on. */
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
