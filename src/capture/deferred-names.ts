/**
 * New files under the names of databases whose deletion is still due (`dueRemovals` in batch.ts).
 *
 * d.db is renamed over a.db, which a process has open, and another d.db is made. a.db cannot be captured now; the
 * journal still has the content of the first d.db under its old name, and nowhere else. Capturing the new d.db would
 * delete it there, and a failover at that moment would lose what was acknowledged. So the new file waits for as long as
 * another database is left out, and answers wait with it. Files that wait for this reason alone do not keep each other
 * waiting.
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

  /** All names are decided anew. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Set();
  }

  /** A file whose name has a deletion that is due: true when it has to wait, which is noted. */
  defer(name: string): boolean {
    const isOther = (other: string): boolean => other !== name && !this.#before.has(other) && !this.#now.has(other);
    const cause = this.#uncaptured.list.find((each) => isOther(each.name));
    if (cause === undefined) return false;
    this.#now.add(name);
    this.#uncaptured.note(name, waitsForAnother(name, cause.name));
    return true;
  }

  /** Those that wait no more are not left out for this reason. `isNoted`: for another one they are. */
  end(isNoted: (name: string) => boolean): void {
    for (const name of this.#before) if (!this.#now.has(name) && !isNoted(name)) this.#uncaptured.clear(name);
    this.#before = new Set();
  }
}
