/**
 * Cancels many attempts at once, each at most once. An `AbortSignal` would do the same, but one listener on it costs as
 * much as parsing a request and its response.
 */

export interface Cancellable {
  /** Called by `end`, in order of joining. */
  onAbort(reason: string): void;
}

export class CancellationGroup {
  readonly #members = new Set<Cancellable>();
  #reason: string | undefined;

  /** Why it has ended; undefined before. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Cancels `member` when the group ends. Check `reason` before joining. */
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
