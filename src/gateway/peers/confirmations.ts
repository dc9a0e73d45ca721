/**
 * Whether the other gateways know what this one has written so far, and this one what they had written by then.
 *
 * An exchange whose answer counts this gateway's writes and closes a pull is one moment at the peer: it had these rows
 * then, and this gateway has every row that the peer had. Of two gateways that write at the same time and each ask the
 * other, at least one therefore finds the other's row, and both do if both had written before either asked.
 */
import type { Clock } from "../../runtime/clock.ts";

interface Question {
  /** Number of the last write that must be known. */
  readonly seq: number;
  readonly confirmed: Set<string>;
  look(): void;
}

export class Confirmations {
  readonly #questions = new Set<Question>();

  /** Records an answer of a peer. `isWhole`: with it, this gateway knows everything that the peer knows. */
  heard(gateway: string, known: number, isWhole: boolean): void {
    if (!isWhole) return;
    for (const { seq, confirmed, look } of this.#questions) {
      if (known < seq) continue;
      confirmed.add(gateway);
      look();
    }
  }

  /** Resolves with those that have confirmed, once `isEnough` says so or the time is over. */
  async ask(
    seq: number,
    isEnough: (confirmed: ReadonlySet<string>) => boolean,
    within: { readonly ms: number; readonly clock: Clock },
  ): Promise<ReadonlySet<string>> {
    const confirmed = new Set<string>();
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => {
      if (isEnough(confirmed)) resolve();
    };
    const question = { seq, confirmed, look };
    this.#questions.add(question);
    const timer = within.clock.setTimer(within.ms, resolve);
    look();
    await promise;
    timer.cancel();
    this.#questions.delete(question);
    return confirmed;
  }
}
