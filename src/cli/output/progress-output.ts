/**
 * Shows on standard error how far a command's work is. On a terminal one line is written again and again, and goes when
 * the work is over; in a log there is a line every few seconds, with --json one object per line. Work that is soon over
 * says nothing.
 */
import { withNulls } from "../../control/nulls.ts";
import type { Clock } from "../../runtime/clock.ts";
import { type WorkProgress, progressInWords, workProgress, type ProgressUnit } from "../../runtime/progress-report.ts";
import type { CliStream } from "./context.ts";
import { truncate, lineWidth } from "./wrap-text.ts";

const everyMs = { terminal: 200, lines: 5_000 } as const;
const beginningOfLine = "\r";
const clearToEnd = "\u001b[K";

export interface ProgressOutputOptions {
  readonly stream: CliStream;
  readonly isJson: boolean;
  readonly clock: Clock;
}

export class ProgressOutput {
  readonly #options: ProgressOutputOptions;
  readonly #isTerminal: boolean;
  #what = "";
  #startedAt = 0;
  #saidAt: number;
  #isLineShown = false;

  constructor(options: ProgressOutputOptions) {
    this.#options = options;
    this.#isTerminal = options.stream.isTTY === true && !options.isJson;
    this.#saidAt = options.clock.now();
  }

  /** `done` of `total` are done by now. `what`: "verifying the log"; with another one the time begins again. */
  readonly reached = (what: string, done: number, total: number, unit: ProgressUnit = "bytes"): void => {
    const now = this.#options.clock.now();
    if (what !== this.#what) [this.#what, this.#startedAt, this.#saidAt] = [what, now, now];
    this.show(what, workProgress(done, total, now - this.#startedAt), unit);
  };

  /** For work elsewhere, whose rate is known there. */
  show(what: string, progress: WorkProgress, unit: ProgressUnit = "bytes"): void {
    const { clock, isJson, stream } = this.#options;
    const now = clock.now();
    const pauseMs = this.#isTerminal ? everyMs.terminal : everyMs.lines;
    if (progress.done >= progress.total || now - this.#saidAt < pauseMs) return;
    this.#saidAt = now;
    const text = `stead: ${what}: ${progressInWords(progress, unit)}`;
    if (isJson) stream.write(`${JSON.stringify(lineOf(what, progress, unit))}\n`);
    else if (this.#isTerminal) {
      this.#isLineShown = true;
      // A line that fills the last column may already continue on the next.
      stream.write(`${beginningOfLine}${truncate(text, (stream.columns ?? lineWidth) - 1)}${clearToEnd}`);
    } else stream.write(`${text}\n`);
  }

  /** The work is over, or failed: what follows begins on a line of its own. */
  close(): void {
    if (this.#isLineShown) this.#options.stream.write(`${beginningOfLine}${clearToEnd}`);
    this.#isLineShown = false;
  }
}

const lineOf = (progress: string, { done, total, perSecond, leftMs }: WorkProgress, unit: ProgressUnit) =>
  withNulls({ progress, unit, done, total, perSecond, leftMs });
