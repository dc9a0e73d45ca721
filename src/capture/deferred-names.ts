/**
 * New files under the names of databases whose deletion is still due (`dueRemovals` in batch.ts).
 *
 * Example: d.db is renamed over a.db, which a process has open, and another d.db is created. a.db cannot be captured
 * now; the journal has the content of the first d.db only under its old name. Capturing the new d.db would delete it
 * there, and a failover at that moment would lose acknowledged data. The new file therefore waits as long as another
 * database is left out, and responses wait with it. Files that wait only for this reason do not block each other.
 */
import { waitsForAnother } from "./refusals.ts";
import type { Uncaptured } from "./uncaptured.ts";

export class DeferredNames {
  readonly #uncaptured: Uncaptured;
  #now = new Set<string>();
  #before = new Set<string>();

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
    const isOther = (other: string): boolean => other !== name && !this.#before.has(other) && !this.#now.has(other);
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
}
