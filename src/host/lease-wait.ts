/** R5 as a host performs it: until the old lease is over, or the old primary is proven gone, nothing is served. */
import { servesFrom } from "../core/lease.ts";
import type { Rules } from "../core/rules.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Claimed } from "./claim.ts";
import type { PredecessorProbe } from "./ports.ts";

/** Between two questions to the old primary's process. */
const askAgainMs = 25;

export interface LeaseWaitOptions {
  readonly claimed: Claimed;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly driftMarginMs: number;
  readonly predecessor: PredecessorProbe;
  readonly signal: AbortSignal;
}

/** Resolves when this host may serve; rejects with the signal's reason. */
export async function waitForLease({ claimed, clock, rules, driftMarginMs, predecessor, signal }: LeaseWaitOptions): Promise<void> {
  if (!rules.has("R5-wait-out-old-lease")) return;
  const until = servesFrom(clock.now(), claimed.predecessor, driftMarginMs);
  while (clock.now() < until) {
    if (claimed.before !== undefined) {
      const word = await predecessor.ask(claimed.before.controlUrl, claimed.before.instance, signal);
      if (word.kind !== "unknown") return;
    }
    await clock.sleep(Math.min(askAgainMs, Math.max(0, until - clock.now())), signal);
  }
}
