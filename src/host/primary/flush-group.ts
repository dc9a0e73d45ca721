/** Counts the responses that wait for the current flush and for the next one, and puts off a flush for more of them. */
import { flushBegins, flushEnded, noGroup, waitForGroupMs } from "../../core/host/group-commit.ts";
import type { Clock } from "../../runtime/clock.ts";

export class FlushGroup {
  readonly #clock: Clock;
  #state = noGroup;
  #current = 0;
  #next = 0;
  #isGathering = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Milliseconds of a flush, smoothed; 0 before the first. */
  get flushMs(): number {
    return this.#state.flushMs;
  }

  /** A response waits for the flush in progress, or for the one after it. */
  join(which: "current" | "next"): void {
    if (which === "current") this.#current += 1;
    else this.#next += 1;
  }

  /** Milliseconds for which the next flush is put off; 0: it begins now. Ask again whenever one joins. */
  waitMs(): number {
    const waitMs = this.#next === 0 ? 0 : waitForGroupMs(this.#state, this.#clock.now(), this.#next);
    if (waitMs <= 0) return 0;
    this.#isGathering = true;
    return waitMs;
  }

  /** Runs a flush. Those that joined the next one wait for it. */
  async during(flush: () => Promise<void>): Promise<void> {
    const beganAtMs = this.#clock.now();
    this.#state = flushBegins(this.#state, this.#next, this.#isGathering);
    this.#isGathering = false;
    [this.#current, this.#next] = [this.#next, 0];
    await flush();
    const nowMs = this.#clock.now();
    const [released, waiting] = [this.#current, this.#next];
    this.#state = flushEnded(this.#state, { nowMs, tookMs: nowMs - beganAtMs, released, waiting });
  }
}
