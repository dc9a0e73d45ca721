/**
 * Whether a secondary lets itself be promoted (design section 6, "agree").
 *
 * A majority of the registered gateways that sees the primary down is enough. Without one, the candidate's own witness
 * decides: the primary's life signs in the vault. A primary that writes there lives and is fenced by nobody's opinion;
 * so a gateway that is alone with its view cannot topple it.
 */

/** Why a host does not become primary. The control API carries it as it is (src/control/messages.ts). */
export type Refusal =
  | { readonly kind: "epoch_taken"; readonly epoch: number; readonly host: string }
  | { readonly kind: "primary_alive"; readonly evidence: string }
  | { readonly kind: "not_ready"; readonly reason: string }
  /** The order was on its way, or waited here, for too long. */
  | { readonly kind: "order_expired"; readonly reason: string }
  /** Its vault is not the vault of the service, or lost records. */
  | { readonly kind: "other_log"; readonly reason: string };

export interface PromotionEvidence {
  readonly planned: boolean;
  /** Epoch the gateway believes in. */
  readonly epoch: number;
  readonly gatewaysRegistered: number;
  readonly gatewaysSeeingDown: number;
}

export interface WitnessView {
  /** Highest epoch in the log and its host; 0 and null when there is none. */
  readonly epoch: number;
  readonly epochHost: string | null;
  /** The last record is a `vacate`. */
  readonly vacated: boolean;
  /** How long ago this host first saw the last record of that epoch. */
  readonly lastRecordAgeMs: number;
  /** Lease of that epoch plus the drift margin. */
  readonly leaseMs: number;
}

export type WitnessVerdict = { readonly kind: "accepted" } | { readonly kind: "refused"; readonly refusal: Refusal };

/** What the host said of itself when the order was decided: its run and its monotonic clock, and how long the order counts. */
export interface OrderBase {
  readonly instance: string;
  readonly clockMs: number;
  readonly validMs: number;
}

/**
 * Whether an order is still what the gateway wants, by the host's own clock: one that a network kept back while it was cut, or
 * that waited here for a vault, would be an unneeded failover. `now`: monotonic, of this host. Undefined: it may be judged.
 */
export function judgeAge(basedOn: OrderBase | null | undefined, instance: string, now: number): Refusal | undefined {
  if (basedOn === null || basedOn === undefined) return undefined;
  if (basedOn.instance !== instance) return { kind: "order_expired", reason: "the order was meant for an earlier run of this host" };
  const ageMs = now - basedOn.clockMs;
  if (ageMs <= basedOn.validMs) return undefined;
  const reason = `the order rests on what this host said ${Math.round(ageMs)} ms ago, and counts for ${Math.round(basedOn.validMs)} ms`;
  return { kind: "order_expired", reason };
}

/** Judges a promotion on what the log says, read to its end just now. */
export function judgePromotion(evidence: PromotionEvidence, view: WitnessView): WitnessVerdict {
  if (evidence.epoch < view.epoch && view.epochHost !== null) {
    return { kind: "refused", refusal: { kind: "epoch_taken", epoch: view.epoch, host: view.epochHost } };
  }
  if (evidence.planned || view.epochHost === null || view.vacated) return { kind: "accepted" };
  if (evidence.gatewaysSeeingDown * 2 > evidence.gatewaysRegistered) return { kind: "accepted" };
  if (view.lastRecordAgeMs >= view.leaseMs) return { kind: "accepted" };
  const sign = `${view.epochHost} wrote in the vault ${Math.round(view.lastRecordAgeMs)} ms ago, lease ${view.leaseMs} ms`;
  const votes = `${evidence.gatewaysSeeingDown} of ${evidence.gatewaysRegistered} gateways see it down`;
  return { kind: "refused", refusal: { kind: "primary_alive", evidence: `${sign}; ${votes}` } };
}
