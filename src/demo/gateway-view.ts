/** What the demo asks of a gateway's admin API: the failovers it recorded, its counters, a switchover. */
import type { PhaseTimes } from "./verdict.ts";

/** One failover or switchover that came to its end. */
export interface RecordedFailover {
  /** Ascending in the order of recording. */
  readonly order: number;
  readonly kind: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly epoch: number;
  readonly phases: PhaseTimes;
}

export interface GatewayCounters {
  readonly held: number;
  readonly replayed: number;
}

export interface GatewayView {
  /** Those that succeeded, oldest first. */
  failovers(): Promise<readonly RecordedFailover[]>;
  counters(): Promise<GatewayCounters>;
  /** Asks for a planned switchover; resolves when it is done, throws with the reason when it is refused. */
  switchover(): Promise<void>;
  close(): void;
}

export function openGatewayView(adminUrl: string, secret: string): GatewayView {
  throw new Error(`not yet: ${adminUrl} ${secret.length}`);
}
