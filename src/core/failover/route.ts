/**
 * Last part of a step: where traffic goes, given the phase and the facts.
 *
 * Static stability: whatever this gateway has lost sight of, it routes to the last known primary until something better
 * is known: a host that claimed a later epoch, the primary's own report that it stepped down, or a promotion ordered by
 * this gateway (new requests then wait, so that no more are sent to a hung host).
 */
import type { Routed, ServiceState } from "./state.ts";
import { hasSaidItSteppedDown, primaryStatus } from "./primary-status.ts";
import { put, type Transition } from "./transition.ts";

export function route(transition: Transition): void {
  const wanted = wantedRoute(transition.state, transition.now);
  const current = transition.state.routed;
  if (sameRoute(wanted, current)) return;
  put(transition, { routed: wanted });
  transition.effects.push(wanted.kind === "host" ? { ...wanted, kind: "route" } : { ...wanted });
}

function wantedRoute(state: ServiceState, now: number): Routed {
  const primary = state.primary;
  if (primary === undefined) return { kind: "hold", reason: "no primary is known yet" };
  if (primary.dataUrl === undefined)
    return { kind: "hold", reason: `host ${primary.host} is primary, but has not reported where it serves` };
  const there: Routed = { kind: "host", host: primary.host, epoch: primary.epoch, dataUrl: primary.dataUrl };
  switch (state.phase.kind) {
    case "unknown":
    case "serving":
    case "suspect":
      return there;
    case "awaiting": {
      const already =
        state.routed.kind === "host" && state.routed.host === primary.host && state.routed.epoch === primary.epoch;
      const status = primaryStatus(state, now);
      if (already && status !== "leaving" && status !== "handing-over") return there;
      return { kind: "hold", reason: `host ${primary.host} is becoming primary or stepping down` };
    }
    case "agreeing":
    case "down":
      if (primaryStatus(state, now) !== "stepped-down" && !hasSaidItSteppedDown(state)) return there;
      return { kind: "hold", reason: `host ${primary.host} is no longer primary, and there is no other yet` };
    case "promoting":
      return { kind: "hold", reason: `host ${state.phase.candidate} is being promoted` };
    case "demoting":
      return { kind: "hold", reason: `host ${primary.host} is stepping down` };
  }
}

/**
 * True unless the primary is seen serving. Whatever lost a request makes the primary doubtful in the same step, so a
 * primary that is not doubted was seen well since.
 */
export const isPrimaryDoubted = ({ phase }: ServiceState): boolean => phase.kind !== "serving";

function sameRoute(a: Routed, b: Routed): boolean {
  if (a.kind === "hold") return b.kind === "hold" && a.reason === b.reason;
  return b.kind === "host" && a.host === b.host && a.epoch === b.epoch && a.dataUrl === b.dataUrl;
}
