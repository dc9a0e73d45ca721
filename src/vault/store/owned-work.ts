/** Background work with an owner: results do not wait for it, it never rejects, and it can be awaited at the end. */
export class OwnedWork {
  readonly #pending = new Set<Promise<void>>();

  /** For clean-up whose failure is harmless; the caller says why. */
  own(work: Promise<unknown>): void {
    const owned: Promise<void> = work
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => this.#pending.delete(owned));
    this.#pending.add(owned);
  }

  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }
}
