/**
 * Keeps the kernel's list of file locks quick to read while that matters.
 *
 * Whoever reads /proc/locks has the kernel wait until all processors have passed a quiet state (a per-CPU lock, fs/locks.c): 10 to 30 ms. One
 * that was read a moment ago costs microseconds. A primary reads it every `auditMs` anyway; a host that is about to become one has not
 * read it for long, and would stop its event loop several times in the middle of a promotion. So from its claim on the list is read by another
 * thread, whose result nobody looks at.
 */
import { readFile } from "node:fs/promises";
import type { Clock } from "../runtime/clock.ts";

/** It is quick for about 100 ms after each read. */
const readEveryMs = 25;
/** Longer than an application takes to start, as a rule; what comes later is a few milliseconds once. */
const warmMs = 10_000;

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
    this.#run().catch(() => (this.#isRunning = false)); // Where there is no such list nothing is slow.
  }

  async #run(): Promise<void> {
    while (this.#clock.now() < this.#until) {
      await readFile("/proc/locks");
      await this.#clock.sleep(readEveryMs);
    }
    this.#isRunning = false;
  }
}
