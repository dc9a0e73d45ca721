/**
 * A candidate's checks before it obeys an order to take over: its log to the end, and what the log shows of the
 * primary.
 */
import type { PromoteRequest } from "../../control/host-api.ts";
import {
  judgeAge,
  judgePromotion,
  logPatienceMs,
  type WitnessVerdict,
  type WitnessView,
} from "../../core/host/witness.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Follower } from "../secondary/follower.ts";

/** Pause between two looks at a log that seems too short. */
const lookAgainMs = 50;

/** Reads on until the log reaches `position`, or the patience is over. Rejects with read errors. */
async function readAsFarAs(position: number, follower: Follower, clock: Clock): Promise<void> {
  const until = clock.now() + logPatienceMs;
  while (follower.reader.position < position && clock.now() < until) {
    await clock.sleep(lookAgainMs);
    await follower.catchUp();
    if (follower.reader.position < position && (await follower.reader.log.decideEnd())) await follower.catchUp();
  }
}

export interface OrderPorts {
  readonly clock: Clock;
  /** Random id of this run. */
  readonly instance: string;
  readonly driftMarginMs: number;
  /** Identity of the vault, as last read. */
  readonly vaultId: () => string | undefined;
}

/** Judges first the order's age, then the log to its end. Rejects with read errors. */
export async function judgeOrder(
  request: PromoteRequest,
  follower: Follower,
  { clock, instance, driftMarginMs, vaultId }: OrderPorts,
): Promise<WitnessVerdict> {
  const expired = judgeAge(request.basedOn ?? undefined, instance, clock.now());
  if (expired !== undefined) return { kind: "refused", refusal: expired };
  const { planned, epoch, gatewaysRegistered, gatewaysSeeingDown, positionHeard = 0, vault } = request;
  await readAsFarAs(positionHeard, follower, clock);
  const evidence = {
    planned,
    epoch,
    gatewaysRegistered,
    gatewaysSeeingDown: gatewaysSeeingDown.length,
    positionHeard,
    vault: vault ?? undefined,
  };
  return judgePromotion(evidence, witnessView(follower, clock.now(), driftMarginMs, vaultId()));
}

function witnessView(follower: Follower, now: number, driftMarginMs: number, vault: string | undefined): WitnessView {
  const { epoch, lastRecordSeenAt } = follower;
  return {
    epoch: epoch?.epoch ?? 0,
    epochHost: epoch?.host,
    position: follower.reader.position,
    vault,
    vacated: epoch?.vacated ?? false,
    lastRecordAgeMs: lastRecordSeenAt === undefined ? Number.POSITIVE_INFINITY : now - lastRecordSeenAt,
    leaseMs: (epoch?.leaseMs ?? 0) + driftMarginMs,
  };
}
