/**
 * Tells the operator of calls under a secret that this process does not know: usually the caller is of this cluster,
 * and one of the two files has an old secret. Who calls is what it says, and unproven; each is told once a minute.
 */
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { Keyring } from "./keyring.ts";

const tellEveryMs = 60_000;
const strangersMax = 100;
const shownMax = 80;

export interface StrangerLogOptions {
  readonly keyring: Keyring;
  /** Where this process has its secret from, for the operator. */
  readonly place: () => string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class StrangerLog {
  readonly #options: StrangerLogOptions;
  /** When the operator was told of whom. */
  readonly #toldAt = new Map<string, number>();

  constructor(options: StrangerLogOptions) {
    this.#options = options;
  }

  refused({ key, from }: { readonly key: string; readonly from: string }): void {
    const { keyring, place, clock, log } = this.#options;
    const who = `${from.slice(0, shownMax)} ${key.slice(0, shownMax)}`;
    const now = clock.now();
    if (now - (this.#toldAt.get(who) ?? -Infinity) < tellEveryMs) return;
    this.#toldAt.delete(who);
    const [oldest] = this.#toldAt.keys();
    if (this.#toldAt.size >= strangersMax && oldest !== undefined) this.#toldAt.delete(oldest);
    this.#toldAt.set(who, now);
    log.warn("refused a call under another secret", {
      caller: from.slice(0, shownMax),
      caller_key: key.slice(0, shownMax),
      own_keys: keyring.keys.map(({ id }) => id).join(" "),
      own_secret: place(),
      advice:
        "if the caller is of this cluster, one of the two has an old secret: `stead secret rotate --status` names it; copy the secret file there",
    });
  }
}
