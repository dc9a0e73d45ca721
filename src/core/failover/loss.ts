/**
 * The ends of primaries as failover remembers them, and the resulting pause before the next takeover (brake.ts decides
 * it).
 */

/** The cause of a primary's end, in words and for comparison. */
export interface Cause {
  readonly kind: "kill" | "hang" | "stepped-down" | "impaired";
  readonly text: string;
}

export interface Loss {
  readonly cause: Cause;
  /** When the next primary claimed. */
  readonly at: number;
  /** How long the lost primary was in place. */
  readonly tenureMs: number;
}

export interface Brake {
  readonly until: number;
  /** The position of this loss in its chain, which began `spanMs` ago. */
  readonly nth: number;
  readonly spanMs: number;
  readonly cause: Cause;
}

/** `impaired`: the primary was moved away from an impaired host. `rewind`: it stepped down with an earlier state. */
export type FailoverKind = "kill" | "hang" | "stepped-down" | "impaired" | "switchover" | "rewind" | "forced" | "first";
