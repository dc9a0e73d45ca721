/**
 * Detects two processes with one gateway id: each run has its own name, and only one run of an id is accepted at a
 * time.
 *
 * The present run stays; another is refused until the first was silent for `silentMs`. A second process therefore never
 * gets in while the first lives, and a restarted gateway waits at most that long (not at all after an orderly stop).
 */

/** Longer than two sweeps of a living gateway. */
export const silentMs = 2_500;

export type InstanceVerdict = { readonly kind: "ok" } | { readonly kind: "duplicate"; readonly heardMsAgo: number };

export class InstanceWatch {
  readonly #heard = new Map<string, { origin: string; at: number }>();

  hear(id: string, origin: string, now: number): InstanceVerdict {
    const known = this.#heard.get(id);
    if (known !== undefined && known.origin !== origin && now - known.at < silentMs)
      return { kind: "duplicate", heardMsAgo: Math.round(now - known.at) };
    this.#heard.set(id, { origin, at: now });
    return { kind: "ok" };
  }

  goodbye(id: string, origin: string): void {
    if (this.#heard.get(id)?.origin === origin) this.#heard.delete(id);
  }

  /** True when this run was heard within `withinMs`. */
  isLive(origin: string, now: number, withinMs: number): boolean {
    for (const heard of this.#heard.values()) if (heard.origin === origin) return now - heard.at < withinMs;
    return false;
  }

  heardMsAgo(id: string, now: number): number | undefined {
    const known = this.#heard.get(id);
    return known === undefined ? undefined : now - known.at;
  }
}
