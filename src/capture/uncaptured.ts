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
  readonly lookedAtMs: number;
  /** A look from then on may leave it out instead, so that earlier ones end nothing. */
  readonly decidesAtMs: number | undefined;
}

/** Monotonic milliseconds: the beginning of a look, and from which beginning on it may leave the file out. */
export interface WholenessLook {
  readonly atMs: number;
  readonly decidesAtMs: number;
}

/** What an operator is told of one; `sinceMs`: monotonic milliseconds. */
export interface HeldDatabase {
  readonly name: string;
  readonly reason: string;
  readonly advice: string;
  readonly sinceMs: number;
}

export const heldBy = ({ name, error, sinceMs }: UncapturedEntry): HeldDatabase => ({
  name,
  reason: error.message,
  advice: error.advice,
  sinceMs,
});

const none: readonly UncapturedEntry[] = [];

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
    return this.#entries.size === 0 ? none : [...this.#entries.values()];
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Notes that it cannot be captured, for this reason; the times count from the first one. `look`: which look found
   * that, and from when on one decides whether it is a database at all; it must be noted again by such a look.
   */
  note(name: string, error: CaptureError, look?: WholenessLook): void {
    const known = this.#entries.get(name);
    const notedAtMs = this.#now();
    this.#entries.set(name, {
      name,
      error,
      sinceMs: known?.sinceMs ?? notedAtMs,
      // Not when it is over: one that begins right before it may decide can end after.
      lookedAtMs: look?.atMs ?? notedAtMs,
      decidesAtMs: known === undefined ? look?.decidesAtMs : known.decidesAtMs,
    });
    if (known?.error.message !== error.message) this.#onChange(this.list);
  }

  /** This reason is over; another one that was noted for the name since then stays. */
  withdraw(name: string, error: CaptureError): void {
    if (this.#entries.get(name)?.error === error) this.clear(name);
  }

  /** Captured, or gone. */
  clear(name: string): void {
    if (this.#entries.delete(name)) this.#onChange(this.list);
  }

  /** Throws the reason of a database that has been left out for longer than the patience. */
  assertPatience(patienceMs: number): void {
    for (const { error, sinceMs, lookedAtMs, decidesAtMs } of this.#entries.values())
      if (this.#now() - sinceMs > patienceMs && (decidesAtMs === undefined || lookedAtMs >= decidesAtMs)) throw error;
  }
}
