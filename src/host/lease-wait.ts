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

/** Resolves when this host may serve; rejects with the signal's reason. A question never makes it wait longer than the lease. */
export async function waitForLease(options: LeaseWaitOptions): Promise<void> {
  const { claimed, clock, rules, driftMarginMs, signal } = options;
  if (!rules.has("R5-wait-out-old-lease")) return;
  const until = servesFrom(clock.now(), claimed.predecessor, driftMarginMs);
  const remainsMs = until - clock.now();
  if (remainsMs <= 0) return;
  const over = new AbortController();
  const either = AbortSignal.any([over.signal, signal]);
  try {
    await Promise.race([clock.sleep(remainsMs, either), untilProvenGone(options, either)]);
  } finally {
    over.abort(new Error("the wait for the lease is over"));
  }
}

/** Resolves when the predecessor is proven gone; when the signal is aborted, it rejects at its next pause, unheard. */
async function untilProvenGone({ claimed, clock, predecessor }: LeaseWaitOptions, signal: AbortSignal): Promise<void> {
  const { before } = claimed;
  for (;;) {
    const word = before === undefined ? undefined : await predecessor.ask(before.controlUrl, before.instance, signal);
    if (word !== undefined && word.kind !== "unknown") return;
    await clock.sleep(askAgainMs, signal);
  }
}
