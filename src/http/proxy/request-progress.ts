/** What is known of one request on its way from its arrival to its end. */
import type { LossCause } from "../../core/replay.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { RequestTrace } from "./request-trace.ts";

export interface RequestProgress {
  /** Undefined: it is not told. */
  readonly trace: RequestTrace | undefined;
  held: boolean;
  replays: number;
  /** How tries that had been sent were lost, oldest first. */
  readonly losses: LossCause[];
  /** An earlier try was lost after it had been sent (only idempotent requests are retried then). */
  maybeExecuted: boolean;
  /** The upstream that lost a try which may have changed something: it is not resent in that epoch. */
  lostUpstream?: Upstream | undefined;
  /** Monotonic milliseconds. */
  readonly until: number;
}

/** For the client: whether a request that was not answered may have been executed. */
export const outcomeOf = (life: RequestProgress): "unknown" | "not-executed" =>
  life.maybeExecuted ? "unknown" : "not-executed";
