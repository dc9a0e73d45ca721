/**
 * Warnings that strangers can cause, in a log that they cannot flood: within each window the first few are logged, the
 * rest is a count at the end of the window.
 */
import type { Clock, Timer } from "./clock.ts";
import type { Logger, LogFields } from "./log.ts";

const windowMs = 10_000;
const linesPerWindowMax = 10;

export class BoundedLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  #told = 0;
  #untold = 0;
  #window: Timer | undefined;

  constructor(log: Logger, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  warn(what: string, fields: LogFields): void {
    this.#window ??= this.#clock.setTimer(windowMs, () => this.#reportWindow());
    if (this.#told >= linesPerWindowMax) {
      this.#untold += 1;
      return;
    }
    this.#told += 1;
    this.#log.warn(what, fields);
  }

  /** Logs the remaining count; the log can be used again afterwards. */
  close(): void {
    this.#window?.cancel();
    this.#reportWindow();
  }

  #reportWindow(): void {
    if (this.#untold > 0)
      this.#log.warn("more messages of this kind were suppressed", { count: this.#untold, seconds: windowMs / 1000 });
    this.#window = undefined;
    this.#told = 0;
    this.#untold = 0;
  }
}
