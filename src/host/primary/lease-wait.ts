/** R5 as a host performs it: nothing is served until every old lease is over, or its primary is proven gone. */
import { leaseOverAt } from "../../core/host/lease.ts";
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Predecessor } from "../secondary/follower.ts";
import type { PredecessorProbe } from "../ports/ports.ts";

/** Pause between two queries of an old primary's process. */
const askAgainMs = 25;

export interface LeaseWaitOptions {
  readonly predecessors: readonly Predecessor[];
  /** This run of the host: its own earlier terms have ended. */
  readonly instance: string;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly driftMarginMs: number;
  readonly probe: PredecessorProbe;
  readonly signal: AbortSignal;
}

/**
 * Resolves when this host may serve; rejects with the signal's reason. A query never makes it wait longer than the
 * lease.
 */
export async function waitForLeases(options: LeaseWaitOptions): Promise<void> {
  const { predecessors, instance, rules } = options;
  if (!rules.has("R5-wait-out-old-lease")) return;
  await Promise.all(
    predecessors
      .filter((predecessor) => predecessor.instance !== instance)
      .map((predecessor) => waitForLease(predecessor, options)),
  );
}

async function waitForLease(predecessor: Predecessor, options: LeaseWaitOptions): Promise<void> {
  const { clock, driftMarginMs, signal } = options;
  const remainsMs = leaseOverAt(predecessor, driftMarginMs) - clock.now();
  if (remainsMs <= 0) return;
  signal.throwIfAborted();
  // Not AbortSignal.any: in Bun its signal is never freed if nothing aborts it, with all its listeners.
  const over = new AbortController();
  const onAbort = (): void => over.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([clock.sleep(remainsMs, over.signal), untilProvenGone(predecessor, options, over.signal)]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    over.abort(new Error("the wait for the lease is over"));
  }
}

/** Resolves when the predecessor is proven gone; once the signal is aborted, it rejects at its next pause, unheard. */
async function untilProvenGone(
  predecessor: Predecessor,
  { clock, probe }: LeaseWaitOptions,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const word = await probe.ask(predecessor, signal);
    if (word.kind !== "unknown") return;
    await clock.sleep(askAgainMs, signal);
  }
}
