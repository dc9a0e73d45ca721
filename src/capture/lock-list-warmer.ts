/**
 * Keeps the kernel's list of file locks quick to read while that matters (file-locks.ts): from the claim of a host on, until its application has
 * answered its first requests. They would wait for it, since an application that opens its databases changes the data folder.
 */
import type { Clock } from "../runtime/clock.ts";
import { FileLocks } from "./file-locks.ts";
import { longLockList } from "./limits.ts";

/** The list is quick for 10 ms after each read. */
const readEveryMs = 5;
/** Longer than an application takes to start, as a rule; what comes later waits a few milliseconds once. */
const warmMs = 5_000;

export class LockListWarmer {
  readonly #clock: Clock;
  #until = -Infinity;
  #isRunning = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** From now on for a while. Returns at once. */
  begin(): void {
    this.#until = this.#clock.now() + warmMs;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run()
      .catch(() => undefined) // A clock that was stopped: nothing waits any more.
      .finally(() => (this.#isRunning = false));
  }

  /** Ends at once where there is no list, or one that is long: reading it so often would cost more than it saves. */
  async #run(): Promise<void> {
    while (this.#clock.now() < this.#until) {
      const locks = await FileLocks.read();
      if (locks === undefined || locks.characters > longLockList) break;
      await this.#clock.sleep(readEveryMs);
    }
  }
}
