/** A promotion in progress, for the ordering gateway: phases with their durations, then done or refused. */
import type { PromoteEvent, PromotePhase } from "../../control/host-api.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Refusal } from "../../core/refusal.ts";

export class Promotion {
  readonly #clock: Clock;
  readonly #report: (event: PromoteEvent) => void;
  readonly #over = Promise.withResolvers<void>();
  /** The epoch on which the order was judged: this promotion replaces only its owner. */
  overEpoch = 0;
  #since: number;
  #isOver = false;

  constructor(clock: Clock, report: (event: PromoteEvent) => void) {
    this.#clock = clock;
    this.#report = report;
    this.#since = clock.now();
  }

  /** Resolves when it is done or refused. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** A phase has ended. */
  phase(phase: PromotePhase): void {
    if (this.#isOver) return;
    const now = this.#clock.now();
    this.#report({ kind: "phase", phase, ms: now - this.#since });
    this.#since = now;
  }

  done(epoch: number, position: number, dataUrl: string): void {
    this.#settle({ kind: "done", epoch, position, dataUrl });
  }

  refuse(refusal: Refusal): void {
    this.#settle({ kind: "refused", refusal });
  }

  #settle(event: PromoteEvent): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#report(event);
    this.#over.resolve();
  }
}
