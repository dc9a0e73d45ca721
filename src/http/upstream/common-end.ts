/**
 * Ends many attempts at once, each at most once. An `AbortSignal` would do the same; a listener on one costs as much as
 * all the parsing of a request and its response.
 */

export interface Ended {
  /** Called by `end`, in its turn. */
  onCommonEnd(reason: string): void;
}

export class CommonEnd {
  readonly #members = new Set<Ended>();
  #reason: string | undefined;

  /** Why it is over; undefined while it is not. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Tells `member` when it ends. Check `reason` before joining. */
  add(member: Ended): void {
    this.#members.add(member);
  }

  delete(member: Ended): void {
    this.#members.delete(member);
  }

  get members(): Iterable<Ended> {
    return this.#members;
  }

  end(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    for (const member of this.#members) member.onCommonEnd(reason);
    this.#members.clear();
  }
}
