/**
 * New files under the names of databases whose deletion is still due (`dueRemovals` in batch.ts).
 *
 * Example: d.db is renamed over a.db, which a process has open, and another d.db is created. a.db cannot be captured
 * now; the journal has the content of the first d.db only under its old name. Capturing the new d.db would delete it
 * there, and a failover at that moment would lose acknowledged data. The new file therefore waits as long as another
 * database is left out, and responses wait with it. Files that wait only for this reason do not block each other.
 *
 * It waits before it is opened (`defer`), and if the others turn out to be left out only then, before its capture is
 * accepted (`accept`).
 */
import { waitsForAnother } from "./refusals.ts";
import type { Uncaptured } from "./uncaptured.ts";

export class DeferredNames {
  readonly #uncaptured: Uncaptured;
  #now = new Set<string>();
  #before = new Set<string>();
  /** Open, and not captured for this reason, with what each waits for. */
  #open: ReadonlyMap<string, string> = new Map();

  constructor(uncaptured: Uncaptured) {
    this.#uncaptured = uncaptured;
  }

  get size(): number {
    return this.#now.size;
  }

  has(name: string): boolean {
    return this.#now.has(name);
  }

  /** Starts over for all names. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Set();
  }

  /** Returns true if a file must wait because a deletion of its name is due, and notes it. */
  defer(name: string): boolean {
    const isOther = (other: string): boolean =>
      other !== name && !this.#before.has(other) && !this.#now.has(other) && !this.#open.has(other);
    const cause = this.#uncaptured.list.find((each) => isOther(each.name));
    if (cause === undefined) return false;
    this.#now.add(name);
    this.#uncaptured.note(name, waitsForAnother(name, cause.name));
    return true;
  }

  /** Releases those that need not wait any more. `isNoted`: they are left out for another reason. */
  releaseOthers(isNoted: (name: string) => boolean): void {
    for (const name of this.#before) if (!this.#now.has(name) && !isNoted(name)) this.#uncaptured.clear(name);
    this.#before = new Set();
  }

  /**
   * Returns the captures that may be accepted. A first capture under a name of `removals` replaces the former content
   * in the journal, so it waits unless each database that no batch has yet is captured with it. `active`: those that
   * are open.
   */
  accept<C extends Capture>(
    changes: readonly C[],
    removals: readonly { readonly name: string }[],
    active: Iterable<{ readonly name: string; readonly captured: unknown }>,
  ): readonly C[] {
    const captured = new Set(changes.map(({ database }) => database.name));
    const restless = [...active].filter((database) => database.captured === undefined);
    const cause = [...this.#uncaptured.list, ...restless].find(({ name }) => !captured.has(name))?.name;
    const removed = new Set(cause === undefined ? [] : removals.map(({ name }) => name));
    const mustWait = ({ database }: Capture): boolean => !database.isKnown && removed.has(database.name);
    this.#open = new Map(changes.filter(mustWait).map(({ database }) => [database.name, cause ?? ""]));
    return this.#open.size === 0 ? changes : changes.filter((change) => !mustWait(change));
  }

  /** What the capture of an open file waits for; undefined: it does not wait. */
  causeOf(name: string): string | undefined {
    return this.#open.get(name);
  }
}

interface Capture {
  readonly database: { readonly name: string; readonly isKnown: boolean };
}
