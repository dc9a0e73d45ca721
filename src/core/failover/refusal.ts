/** A refusal in words: for operators, in events, statuses and logs. */
import type { CallRefusal } from "./state.ts";

export function describeRefusal(refusal: CallRefusal): string {
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
