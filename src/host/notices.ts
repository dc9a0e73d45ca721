/** What a host tells operators: a bounded list of warnings in its status, each also a line of its log. */
import type { Log } from "../runtime/log.ts";

const warningsKept = 20;

export class Notices {
  readonly #log: Log;
  readonly #onChange: () => void;
  readonly #warnings: string[] = [];

  constructor(log: Log, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  /** Newest last. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Each text is listed once, at its newest place; said again and again it is logged once. */
  warn(text: string): void {
    const known = this.#warnings.indexOf(text);
    if (known >= 0 && known === this.#warnings.length - 1) return;
    this.#log.warn(text);
    if (known >= 0) this.#warnings.splice(known, 1);
    this.#warnings.push(text);
    if (this.#warnings.length > warningsKept) this.#warnings.shift();
    this.#onChange();
  }
}

/** The message of anything thrown, with its advice when it carries one. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const advice = "advice" in error && typeof error.advice === "string" && !error.message.includes(error.advice) ? ` (${error.advice})` : "";
  return error.message + advice;
}
