/**
 * Databases that cannot be captured now, each with the reason and since when: a fault is confined to one database.
 *
 * While there is one, nothing that follows may be acknowledged (a response may depend on it), but nothing ends either:
 * the file may become complete, its lock may be released, it may be deleted. The reason ends the capture only after the
 * patience is over.
 */
import type { CaptureError } from "./capture-error.ts";

/** It is being created, or locked: a moment later it may be captured. */
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

  /** `now`: monotonic milliseconds. `onChange` is called when the names or the reasons change. */
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

  /** Notes that it cannot be captured, for this reason; the time counts from the first one. */
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
