/** Work that a result does not wait for, but that somebody owns: it never rejects, and can be waited for at the end. */
export class OwnedWork {
  readonly #pending = new Set<Promise<void>>();

  /** For clean-up whose failure changes nothing for anybody: the caller says so where it hands the work over. */
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
