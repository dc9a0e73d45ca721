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
    say(`${what}: ${progressInWords(workProgress(bytes, totalBytes, now - this.#startedAt))}`);
  };
}

/** How far a piece of work is. Undefined: not known yet. */
export interface WorkProgress {
  readonly done: number;
  readonly total: number;
  readonly perSecond: number | undefined;
  readonly leftMs: number | undefined;
}

export type ProgressUnit = "bytes" | "records";

/** `tookMs`: since the work began. */
export function workProgress(done: number, total: number, tookMs: number): WorkProgress {
  if (done <= 0 || tookMs <= 0) return { done, total, perSecond: undefined, leftMs: undefined };
  const perSecond = (done / tookMs) * 1_000;
  return { done, total, perSecond, leftMs: (Math.max(0, total - done) / perSecond) * 1_000 };
}

export function progressInWords(
  { done, total, perSecond, leftMs }: WorkProgress,
  unit: ProgressUnit = "bytes",
): string {
  const reached = unit === "bytes" ? `${bytesInWords(done)} of ${bytesInWords(total)}` : `${done} of ${total} records`;
  if (perSecond === undefined || leftMs === undefined) return reached;
  const rate = unit === "bytes" ? `${bytesInWords(perSecond)}/s` : `${Math.round(perSecond)} records/s`;
  const leftSeconds = Math.ceil(leftMs / 1_000);
  const left = leftSeconds < 120 ? `${leftSeconds} s` : `${Math.ceil(leftSeconds / 60)} min`;
  return `${reached}, ${rate}, about ${left} left`;
}

const units = ["KiB", "MiB", "GiB", "TiB"] as const;

/** Three digits at most: 16 B, 4.2 MiB, 318 MiB. */
export function bytesInWords(bytes: number): string {
  if (bytes < 1_000) return `${Math.round(bytes)} B`;
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1_000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && value > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit] ?? ""}`;
}
