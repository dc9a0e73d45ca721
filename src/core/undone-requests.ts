/**
 * What a rewind means for requests, from the flushes after the state to which it goes back, in their order.
 *
 * Whatever a flush has of a request's changes, the request's name is in that flush or in an earlier one
 * (request-names.ts). So nothing is left of a request whose name is in a flush that is undone; and of a request whose
 * name came before and whose answer is undone, something may be left. A flush that is itself a rewind has undone
 * requests before; those come back with the state.
 */
import type { RequestName, RewoundRequests } from "./request-names.ts";

/** More than that are left out; hosts know fewer. */
export const undoneRequestsMax = 262_144;

const keyOf = ({ run, count }: RequestName): string => `${run} ${count}`;

export class UndoneRequests {
  readonly #undone = new Map<string, RequestName>();
  readonly #unanswered = new Map<string, RequestName>();
  readonly #restored = new Map<string, RequestName>();
  #isComplete = true;

  /** `isComplete`: of the names. */
  onFlush(names: readonly RequestName[], answered: readonly RequestName[], isComplete: boolean): void {
    this.#isComplete &&= isComplete;
    for (const name of names) this.#undo(name);
    for (const name of answered) if (!this.#undone.has(keyOf(name))) this.#add(this.#unanswered, name);
  }

  /** The flush is a rewind. */
  onRewound({ isComplete, undone, restored }: RewoundRequests): void {
    this.#isComplete &&= isComplete;
    for (const name of undone) if (!this.#undone.delete(keyOf(name))) this.#add(this.#restored, name);
    for (const name of restored) this.#undo(name);
  }

  /** Of the flushes that were taken. */
  get requests(): RewoundRequests {
    if (!this.#isComplete) return { isComplete: false, undone: [], unanswered: [], restored: [] };
    const [undone, unanswered, restored] = [this.#undone, this.#unanswered, this.#restored].map((names) => [
      ...names.values(),
    ]);
    return { isComplete: true, undone: undone ?? [], unanswered: unanswered ?? [], restored: restored ?? [] };
  }

  #undo(name: RequestName): void {
    if (!this.#restored.delete(keyOf(name))) this.#add(this.#undone, name);
  }

  #add(names: Map<string, RequestName>, name: RequestName): void {
    if (names.size >= undoneRequestsMax) this.#isComplete = false;
    else names.set(keyOf(name), name);
  }
}
