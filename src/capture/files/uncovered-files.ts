/**
 * Files that `host.files` covers and that cannot be captured now: over a bound, or not readable. As for databases
 * (capture/uncaptured.ts), responses are held for the patience and then the term ends (`refuse`); or the file is left
 * out, and a warning names it (`warn`).
 */
import { CaptureError } from "../capture-error.ts";
import type { HeldDatabase } from "../uncaptured.ts";

interface Uncovered {
  readonly error: CaptureError;
  readonly sinceMs: number;
}

const consequence = {
  refuse: "responses are held, and the term ends after uncaptured_patience",
  warn: "it does not fail over",
} as const;

/** How many are named to an operator. */
const shownMax = 20;
const none: readonly HeldDatabase[] = [];

export class UncoveredFiles {
  readonly #mode: "refuse" | "warn";
  readonly #now: () => number;
  readonly #onWarning: (text: string) => void;
  readonly #files = new Map<string, Uncovered>();

  constructor(mode: "refuse" | "warn", now: () => number, onWarning: (text: string) => void) {
    this.#mode = mode;
    this.#now = now;
    this.#onWarning = onWarning;
  }

  /** What holds responses. */
  get holding(): readonly HeldDatabase[] {
    if (!this.isHolding) return none;
    return [...this.#files].slice(0, shownMax).map(([name, { error, sinceMs }]) => ({
      name,
      reason: error.message,
      advice: error.advice,
      sinceMs,
    }));
  }

  get isHolding(): boolean {
    return this.#mode === "refuse" && this.#files.size > 0;
  }

  get names(): string[] {
    return [...this.#files.keys()];
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  note(path: string, problem: { readonly found: string; readonly accepted: string; readonly advice: string }): void {
    const known = this.#files.get(path);
    if (known !== undefined) return;
    const error = new CaptureError({ kind: "limit", database: path, ...problem });
    this.#files.set(path, { error, sinceMs: this.#now() });
    this.#onWarning(`${error.message}; ${consequence[this.#mode]}: ${error.advice}`);
  }

  clear(path: string): void {
    this.#files.delete(path);
  }

  /** Throws the reason of a file that holds responses for longer than the patience. */
  assertPatience(patienceMs: number): void {
    this.#assert(({ sinceMs }) => this.#now() - sinceMs <= patienceMs);
  }

  /** Throws the reason of a file that holds responses. */
  assertNone(): void {
    this.#assert(() => false);
  }

  #assert(isBearable: (file: Uncovered) => boolean): void {
    if (this.#mode === "warn") return;
    for (const file of this.#files.values()) if (!isBearable(file)) throw file.error;
  }
}
