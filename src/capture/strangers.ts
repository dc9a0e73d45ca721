/**
 * Files that match but are not databases: a plain file causes a warning. One with a log beside it is used as a database
 * (an encrypted one), whose commits would not be captured.
 */
import { messageOf } from "../runtime/operator-error.ts";
import type { CaptureError } from "./capture-error.ts";
import { pathOf, withSuffix } from "./data-path.ts";
import { identityAt } from "./file-identity.ts";
import type { Uncaptured } from "./uncaptured.ts";

export interface StrangersOptions {
  readonly root: string;
  readonly uncaptured: Uncaptured;
  /** May be called repeatedly with the same text. */
  onWarning(text: string): void;
}

export class Strangers {
  readonly #options: StrangersOptions;
  /** Used as databases, but not readable as such. */
  readonly #used = new Map<string, CaptureError>();

  constructor(options: StrangersOptions) {
    this.#options = options;
  }

  /** Takes the present ones, by name. Costs nothing while there are none. */
  note(strangers: ReadonlyMap<string, CaptureError>): void {
    const { root, uncaptured, onWarning } = this.#options;
    for (const [name, error] of this.#used) {
      if (strangers.has(name)) continue;
      this.#used.delete(name);
      // As a database it may be held for another reason by now.
      uncaptured.withdraw(name, error);
    }
    for (const [name, error] of strangers) {
      const path = pathOf(root, name);
      if (!["-wal", "-journal"].some((suffix) => identityAt(withSuffix(path, suffix)) !== undefined))
        onWarning(`left out: ${messageOf(error)}`);
      else if (!this.#used.has(name)) {
        this.#used.set(name, error);
        uncaptured.note(name, error);
      }
    }
  }

  leftOut(strangers: ReadonlyMap<string, CaptureError>): { readonly name: string; readonly reason: string }[] {
    return [...strangers]
      .filter(([name]) => !this.#used.has(name))
      .map(([name, { message }]) => ({ name, reason: message }));
  }
}
