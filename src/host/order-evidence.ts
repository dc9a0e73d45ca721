/** What a candidate looks at before it obeys an order to take over: its log to the end, and what that says of the primary. */
import { logPatienceMs, type WitnessView } from "../core/witness.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Follower } from "./follower.ts";

/** Between two looks at a log that seems too short. */
const lookAgainMs = 50;

/** Reads on until the log is as far as `position`, or the patience is over. Rejects with what cannot be read. */
export async function readAsFarAs(position: number, follower: Follower, clock: Clock): Promise<void> {
  const until = clock.now() + logPatienceMs;
  while (follower.reader.position < position && clock.now() < until) {
    await clock.sleep(lookAgainMs);
    await follower.catchUp();
  }
}

export function witnessView(follower: Follower, now: number, driftMarginMs: number, vault: string | null): WitnessView {
  const { epoch, lastRecordSeenAt } = follower;
  return {
    epoch: epoch?.epoch ?? 0,
    epochHost: epoch?.host ?? null,
    position: follower.reader.position,
    vault,
    vacated: epoch?.vacated ?? false,
    lastRecordAgeMs: lastRecordSeenAt === undefined ? Number.POSITIVE_INFINITY : now - lastRecordSeenAt,
    leaseMs: (epoch?.leaseMs ?? 0) + driftMarginMs,
  };
}
