/** Why a host does not carry out a gateway's order: for decisions, on the wire, and in words for operators. */

/** Its tags are published (docs/CONTROL-API.md). */
export type Refusal =
  | { readonly kind: "epoch_taken"; readonly epoch: number; readonly host: string }
  | { readonly kind: "primary_alive"; readonly evidence: string }
  | { readonly kind: "not_ready"; readonly reason: string }
  /** The order was in transit, or waited at the host, for too long. */
  | { readonly kind: "order_expired"; readonly reason: string }
  /** The host's vault is not the vault of the service, or has lost records. */
  | { readonly kind: "other_log"; readonly reason: string };

export function describeRefusal(refusal: Refusal): string {
  switch (refusal.kind) {
    case "epoch_taken":
      return `epoch ${refusal.epoch} is taken by ${refusal.host}`;
    case "primary_alive":
      return refusal.evidence;
    case "not_ready":
    case "order_expired":
    case "other_log":
      return refusal.reason;
  }
}
