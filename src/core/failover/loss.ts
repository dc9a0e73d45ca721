/**
 * The ends of primaries as failover remembers them, and how long the next takeover waits for them (brake.ts decides
 * that).
 */

/** The end of a primary: in words, and by what it is compared. */
export interface Cause {
  readonly kind: "kill" | "hang" | "stepped-down" | "impaired";
  readonly text: string;
}

export interface Loss {
  readonly cause: Cause;
  /** When the next primary claimed. */
  readonly at: number;
  /** How long the lost one had its office. */
  readonly tenureMs: number;
}

export interface Brake {
  readonly until: number;
  /** This loss is the so-maniest of its chain, which began `spanMs` ago. */
  readonly nth: number;
  readonly spanMs: number;
  readonly cause: Cause;
}
