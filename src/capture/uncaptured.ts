/**
 * Databases that cannot be captured now, each with the reason and since when: one database is one fault.
 *
 * While there is one, nothing that follows may be acknowledged (an answer may depend on it), but nothing ends either:
 * the file may become whole, its lock may be let go, it may be deleted. Only after the patience is over does the reason
 * end the capture.
 */
import type { CaptureError } from "./capture-error.ts";

/** It is being made, or locked: a moment later it may be captured. */
export const mayPass = ({ kind }: CaptureError): boolean => kind === "locked" || kind === "exclusive";

export interface UncapturedEntry {
  readonly name: string;
  readonly error: CaptureError;
  /** Monotonic milliseconds. */
  readonly sinceMs: number;
}

export class Uncaptured {
  readonly #entries = new Map<string, UncapturedEntry>();
  readonly #now: () => number;
  readonly #onChange: (now: readonly UncapturedEntry[]) => void;

  /** `now`: monotonic milliseconds. `onChange` hears of other names, and of other reasons. */
  constructor(now: () => number, onChange: (now: readonly UncapturedEntry[]) => void) {
    this.#now = now;
    this.#onChange = onChange;
  }

  get list(): readonly UncapturedEntry[] {
    return [...this.#entries.values()];
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Cannot be captured, for this reason; the time counts from the first one. */
  note(name: string, error: CaptureError): void {
    const known = this.#entries.get(name);
    this.#entries.set(name, { name, error, sinceMs: known?.sinceMs ?? this.#now() });
    if (known?.error.message !== error.message) this.#onChange(this.list);
  }

  /** Captured, or gone. */
  clear(name: string): void {
    if (this.#entries.delete(name)) this.#onChange(this.list);
  }

  /** Throws the reason of a database that has been left out for longer than the patience. */
  assertPatience(patienceMs: number): void {
    for (const { error, sinceMs } of this.#entries.values()) if (this.#now() - sinceMs > patienceMs) throw error;
  }
}
