/**
 * Reports how far a long piece of work is, at intervals: bytes done and in all, the rate, and the time left by the rate
 * so far. Work that is over before the first interval is not reported.
 */
import type { Clock } from "./clock.ts";

/** Between two reports. */
const everyMsDefault = 5_000;

export interface ProgressOptions {
  /** What is done, as the beginning of each report: "writing a checkpoint". */
  readonly what: string;
  readonly clock: Clock;
  readonly say: (text: string) => void;
  readonly everyMs?: number;
}

export class ProgressReport {
  readonly #options: ProgressOptions;
  readonly #startedAt: number;
  #saidAt: number;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#startedAt = this.#saidAt = options.clock.now();
  }

  /** `bytes` of `totalBytes` are done by now. */
  readonly reached = (bytes: number, totalBytes: number): void => {
    const { what, clock, say, everyMs = everyMsDefault } = this.#options;
    const now = clock.now();
    if (bytes >= totalBytes || now - this.#saidAt < everyMs) return;
    this.#saidAt = now;
    say(`${what}: ${progressInWords(bytes, totalBytes, now - this.#startedAt)}`);
  };
}

export function progressInWords(bytes: number, totalBytes: number, tookMs: number): string {
  const done = `${bytesInWords(bytes)} of ${bytesInWords(totalBytes)}`;
  if (bytes <= 0 || tookMs <= 0) return done;
  const perSecond = (bytes / tookMs) * 1_000;
  const leftSeconds = Math.ceil((totalBytes - bytes) / perSecond);
  const left = leftSeconds < 120 ? `${leftSeconds} s` : `${Math.ceil(leftSeconds / 60)} min`;
  return `${done}, ${bytesInWords(perSecond)}/s, about ${left} left`;
}

const units = ["KiB", "MiB", "GiB", "TiB"] as const;

/** Three digits at most: 4.2 MiB, 318 MiB. */
export function bytesInWords(bytes: number): string {
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && value > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ""}`;
}
