/**
 * After an ending of the application, the requests that it had come back: their gateways repeat them, all at once, the one that ends it among
 * them. One at a time, it can take none of the others with it a second time, which would cost each of them its only repetition. A turn ends with the
 * answer, or after `turnMs`: a slow request does not keep the others waiting.
 */
import type { Clock } from "../../runtime/clock.ts";

/** Longer than an application takes for an ordinary request just after its start, on a busy machine too: two at once could share an ending. */
const turnMs = 2_000;
/** Who has waited so long goes back to its gateway. */
const probationWaitMs = 5_000;
const waitingMax = 1_000;

export class Probation {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #isTaken = false;

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
    return this.#begin();
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
    for (const next of this.#waiting) {
      this.#waiting.delete(next);
      next();
      return;
    }
    this.#isTaken = false;
  }
}
