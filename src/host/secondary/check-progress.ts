/** Tells how far the check before a bootstrap is, also while it is on one large database. */
import type { Clock, Timer } from "../../runtime/clock.ts";
import { bytesInWords } from "../../runtime/progress-report.ts";

export interface CheckProgressOptions {
  readonly names: readonly string[];
  /** Size of a database in bytes; undefined: it is gone. */
  readonly bytesOf: (name: string) => number | undefined;
  readonly clock: Clock;
  readonly tell: (text: string) => void;
}

const tellEveryMs = 2_000;

export class CheckProgress {
  readonly #options: CheckProgressOptions;
  #checked = 0;
  #sinceMs: number;
  #timer: Timer | undefined;

  /** The first database is being checked from now on. */
  constructor(options: CheckProgressOptions) {
    this.#options = options;
    this.#sinceMs = options.clock.now();
    this.#tell();
  }

  /** So many are checked. */
  readonly checked = (count: number): void => {
    this.#checked = count;
    this.#sinceMs = this.#options.clock.now();
  };

  close(): void {
    this.#timer?.cancel();
  }

  #tell(): void {
    const { names, bytesOf, clock, tell } = this.#options;
    const name = names[this.#checked];
    const bytes = name === undefined ? undefined : bytesOf(name);
    const seconds = Math.floor((clock.now() - this.#sinceMs) / 1_000);
    const current = bytes === undefined || seconds === 0 ? "" : `; ${name} (${bytesInWords(bytes)}) for ${seconds} s`;
    tell(
      `checking the databases before they become the first checkpoint: ${this.#checked} of ${names.length}${current}`,
    );
    this.#timer = clock.setTimer(tellEveryMs, () => this.#tell());
  }
}
