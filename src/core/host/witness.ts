/**
 * Whether a secondary lets itself be promoted (docs/PROTOCOL.md, "majority").
 *
 * A majority of the registered gateways that sees the primary down is enough. Without one, the candidate's own witness
 * decides: the primary's signs of life in the vault. A primary that writes there is alive, and no opinion of others
 * fences it, so a gateway that is alone with its view cannot depose it.
 */
import type { Refusal } from "../refusal.ts";

export interface PromotionEvidence {
  readonly planned: boolean;
  /** Epoch that the gateway knows. */
  readonly epoch: number;
  /** The highest position heard of the primary of that epoch; 0: unknown, or an operator knows that it is lost. */
  readonly positionHeard: number;
  /** Identity of that primary's vault; undefined: unknown. */
  readonly vault: string | undefined;
  readonly gatewaysRegistered: number;
  readonly gatewaysSeeingDown: number;
}

export interface WitnessView {
  /** Highest epoch in the log and its host; 0 and undefined if there is none. */
  readonly epoch: number;
  readonly epochHost: string | undefined;
  /** Last record that this host found before the end of the log. */
  readonly position: number;
  /** Identity of its vault; undefined: unknown. */
  readonly vault: string | undefined;
  /** The last record is a `vacate`. */
  readonly vacated: boolean;
  /** Time since this host first saw the last record of that epoch. */
  readonly lastRecordAgeMs: number;
  /** Lease of that epoch plus the drift margin. */
  readonly leaseMs: number;
}

export type WitnessVerdict = { readonly kind: "accepted" } | { readonly kind: "refused"; readonly refusal: Refusal };

/**
 * The host's own status when the order was decided: its run and its monotonic clock, and how long the order is valid.
 */
export interface OrderBase {
  readonly instance: string;
  readonly clockMs: number;
  readonly validMs: number;
}

/**
 * Judges whether an order is still current, by the host's own clock: an order that the network delayed during a cut, or
 * that waited here for a vault, would cause an unneeded failover. `now`: monotonic, of this host. Undefined: it may be
 * judged.
 */
export function judgeAge(basedOn: OrderBase | undefined, instance: string, now: number): Refusal | undefined {
  if (basedOn === undefined) return undefined;
  if (basedOn.instance !== instance)
    return { kind: "order_expired", reason: "the order was meant for an earlier run of this host" };
  const ageMs = now - basedOn.clockMs;
  if (ageMs <= basedOn.validMs) return undefined;
  const reason = `the order rests on what this host said ${Math.round(ageMs)} ms ago, and counts for ${Math.round(basedOn.validMs)} ms`;
  return { kind: "order_expired", reason };
}

/**
 * Returns why the log here is not the log of the service; undefined: no reason.
 *
 * A host on a stale copy of the vault, or on a folder that is not the share, would claim there and serve without the
 * newest writes, and nothing in its log could show it: R1 and R2 hold within one log. What the gateways heard does show
 * it: a position in a primary's status is that of its last *durable* record (`LogWriter` moves on only after a
 * successful put), in a secondary's status one that it has read. In the vault of the service a record at
 * `positionHeard` therefore exists for good (R4 removes it only under a checkpoint that is at least as far), and a host
 * that has read that log to its end is at least there. A record in flight was never heard.
 *
 * How it could refuse a good host: a look-up answered from a network file system's cache makes the log look shorter.
 * The host therefore looks again for a while before it accepts that (`logPatienceMs`). Refusing loses nothing: the next
 * candidate is asked, or this one again. An operator who knows that the tail is lost forces the failover; the gateway
 * then names neither position nor vault.
 */
export function judgeLog(
  { positionHeard, vault }: Pick<PromotionEvidence, "positionHeard" | "vault">,
  view: Pick<WitnessView, "position" | "vault">,
): Refusal | undefined {
  if (vault !== undefined && view.vault !== undefined && vault !== view.vault) {
    return otherLog(`its identity is ${view.vault}, and that of the primary's vault ${vault}`);
  }
  if (view.position >= positionHeard) return undefined;
  return otherLog(`its log ends at position ${view.position}, and the primary was heard at ${positionHeard}`);
}

const otherLog = (found: string): Refusal => ({
  kind: "other_log",
  reason: `your vault is not the vault of this service, or it lost records: ${found}; check the mount and \`vault\` in [host]; if those records are lost for good, \`stead failover HOST --force\` continues without them`,
});

/**
 * How long a log that seems too short is reread before that is accepted: look-ups of a network file system may be that
 * old.
 */
export const logPatienceMs = 1_000;

/** Judges a promotion by the log, read to its end just now. */
export function judgePromotion(evidence: PromotionEvidence, view: WitnessView): WitnessVerdict {
  if (evidence.epoch < view.epoch && view.epochHost !== undefined) {
    return { kind: "refused", refusal: { kind: "epoch_taken", epoch: view.epoch, host: view.epochHost } };
  }
  const otherLog = judgeLog(evidence, view);
  if (otherLog !== undefined) return { kind: "refused", refusal: otherLog };
  if (evidence.planned || view.epochHost === undefined || view.vacated) return { kind: "accepted" };
  if (evidence.gatewaysSeeingDown * 2 > evidence.gatewaysRegistered) return { kind: "accepted" };
  if (view.lastRecordAgeMs >= view.leaseMs) return { kind: "accepted" };
  const sign = `${view.epochHost} wrote in the vault ${Math.round(view.lastRecordAgeMs)} ms ago, lease ${view.leaseMs} ms`;
  const votes = `${evidence.gatewaysSeeingDown} of ${evidence.gatewaysRegistered} gateways see it down`;
  return { kind: "refused", refusal: { kind: "primary_alive", evidence: `${sign}; ${votes}` } };
}
