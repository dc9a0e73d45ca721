/** Why a host does not obey an order, by its state. */
import type { HostState } from "../../core/host/life.ts";
import type { Term } from "../primary/term.ts";
import type { Refusal } from "../../core/refusal.ts";

/** Returns why an order to step down, meant for `epoch`, is refused; undefined: it is obeyed. */
export function whyNotDemoted(state: HostState, term: Term | undefined, epoch: number | undefined): string | undefined {
  if ((state.kind !== "primary" && state.kind !== "starting") || term === undefined)
    return `this host is ${state.kind}, not primary`;
  if (epoch === undefined || epoch === state.epoch) return undefined;
  return `the order is for the primary of epoch ${epoch}; this host is ${state.kind} in epoch ${state.epoch}`;
}

export const notReady = (state: HostState): Refusal => ({
  kind: "not_ready",
  reason: `this host is ${state.kind}${"reason" in state ? `: ${state.reason}` : ""}`,
});

/** Returns why an order to restore is refused; undefined: it is obeyed. */
export function whyNotRestored(state: HostState): Refusal | undefined {
  switch (state.kind) {
    case "restoring":
    case "secondary":
    case "failed":
      return undefined;
    case "claiming":
    case "starting":
    case "primary":
    case "draining":
      return { kind: "not_ready", reason: `this host is ${state.kind}: demote it first` };
  }
}
