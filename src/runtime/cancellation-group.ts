/**
 * Ends many attempts at once, each at most once. An `AbortSignal` would do the same; a listener on one costs as much as
 * all the parsing of a request and its response.
 */

export interface Cancellable {
  /** Called by `end`, in its turn. */
  onAbort(reason: string): void;
}

export class CancellationGroup {
  readonly #members = new Set<Cancellable>();
  #reason: string | undefined;

  /** Why it is over; undefined while it is not. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Tells `member` when it ends. Check `reason` before joining. */
  add(member: Cancellable): void {
    this.#members.add(member);
  }

  delete(member: Cancellable): void {
    this.#members.delete(member);
  }

  get members(): Iterable<Cancellable> {
    return this.#members;
  }

  abort(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const member of this.#members) member.onAbort(reason);
    this.#members.clear();
  }
}
