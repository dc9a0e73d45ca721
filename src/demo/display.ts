/**
 * The demo's output. On a terminal: permanent lines, and below them a few that are redrawn ten times a second.
 * Elsewhere: lines only.
 */
import type { EventResult } from "./verdict.ts";
import { phaseNames } from "../../harness/gateway-view.ts";

export interface DisplayStream {
  write(text: string): void;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** The live part, rebuilt for each drawing. */
export interface LiveView {
  readonly elapsedMs: number;
  /** One short text per host, for example `host-1 primary`. */
  readonly hosts: readonly string[];
  /** Requests answered in each tenth of a second, oldest first. */
  readonly strip: readonly number[];
  readonly perSecond: number;
  readonly waiting: number;
  readonly acknowledged: number;
}

const drawEveryMs = 100;
const blocks = " ▁▂▃▄▅▆▇█";
const escape = "\u001b[";

export class Display {
  readonly #stream: DisplayStream;
  readonly #live: (() => LiveView) | undefined;
  readonly #timer: ReturnType<typeof setInterval> | undefined;
  #drawnLines = 0;

  constructor(stream: DisplayStream, live: () => LiveView) {
    this.#stream = stream;
    if (stream.isTTY !== true) return;
    this.#live = live;
    this.#timer = setInterval(() => this.#draw(), drawEveryMs);
  }

  /** Prints a permanent line. */
  line(text: string): void {
    this.#erase();
    this.#stream.write(`${text}\n`);
    this.#draw();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#erase();
  }

  #erase(): void {
    if (this.#drawnLines > 0) this.#stream.write(`${escape}${this.#drawnLines}A${escape}0J`);
    this.#drawnLines = 0;
  }

  #draw(): void {
    if (this.#live === undefined) return;
    const view = this.#live();
    const lines = liveLines(view).map((line) => [...line].slice(0, (this.#stream.columns ?? 100) - 1).join(""));
    this.#erase();
    this.#stream.write(lines.map((line) => `${line}\n`).join(""));
    this.#drawnLines = lines.length;
  }
}

function liveLines(view: LiveView): string[] {
  return [
    "",
    `${seconds(view.elapsedMs)}  ${view.hosts.join("   ")}`,
    `        ${stripOf(view.strip)} ${String(view.perSecond).padStart(5)} req/s`,
    `        ${view.waiting} waiting   ${view.acknowledged} writes acknowledged`,
  ];
}

/** One block character per value, the highest as a full block. */
export function stripOf(values: readonly number[]): string {
  const most = Math.max(1, ...values);
  return values.map((value) => blocks[Math.ceil((value / most) * (blocks.length - 1))] ?? " ").join("");
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1).padStart(6)}s`;

/** A gap that begins this long after the event has another cause, and is marked so. */
const laterMs = 50;

/** Formats an event with its phases; phases that took no time are left out. */
export function eventLine(atMs: number, what: string, result: EventResult): string {
  const phases = phaseNames
    .filter((name) => result.phases[name] >= 0.05)
    .map((name) => `${name} ${result.phases[name].toFixed(0)}`);
  const later = result.gapAfterMs > laterMs ? ` (${result.gapAfterMs.toFixed(0)} ms after it)` : "";
  return `${seconds(atMs)}  ${what}: clients saw a gap of ${result.gapMs.toFixed(0)} ms${later}  [${phases.join(" · ")} ms]`;
}
