/**
 * The failover of one service, as one gateway sees it: `step(state, event, now)`, pure.
 *
 * A step has three parts: observations change the facts (observe.ts), operators' commands and events of calls are
 * handled (command.ts, promote.ts), and the phase and the route follow the facts (reconcile.ts, route.ts). The driver
 * (src/gateway/service/service.ts) performs the effects in order.
 *
 * Nothing here can lose a write or make two primaries: the log alone decides claims (R1, R2), and a gateway only asks.
 * This file is responsible for leaving a healthy primary alone, replacing a lost one soon, and routing traffic to it.
 */
import { allRules, type Rules } from "../rules.ts";
import type { FailoverEvent, FailoverStep, ServiceState } from "./state.ts";
import { onCall } from "./promote.ts";
import { onCommand } from "./command.ts";
import { budgetMs } from "./budget.ts";
import { observe, observeProof, observeVault } from "./observe.ts";
import { ranking } from "./order.ts";
import { proofEndsAt } from "./proof.ts";
import { firstLookEndsAt, handoverEndsAt, primaryStatus } from "./primary-status.ts";
import { route } from "./route.ts";
import { ownerStuckAt, reconcile } from "./reconcile.ts";
import { put, spent, type Transition } from "./transition.ts";

/** `now`: monotonic milliseconds. */
export function step(state: ServiceState, event: FailoverEvent, now: number, rules: Rules = allRules): FailoverStep {
  const transition: Transition = { state, effects: [], now, rules };
  observe(transition, event);
  observeProof(transition);
  observeVault(transition);
  switch (event.kind) {
    case "phase-ended":
    case "promoted":
    case "demoted":
    case "call-refused":
    case "call-lost":
      onCall(transition, event);
      break;
    case "command":
      onCommand(transition, event.id, event.command);
      break;
    case "routed":
      onRouted(transition, event.epoch);
      break;
    default:
      break;
  }
  reconcile(transition);
  route(transition);
  return { state: transition.state, effects: transition.effects };
}

/** The new primary has the traffic: the failover's last phase is known. */
function onRouted(transition: Transition, epoch: number): void {
  const finished = transition.state.finished;
  if (finished === undefined || finished.failover.epochTo !== epoch) return;
  const failover = spent(finished.failover, "route", transition.now - finished.at, transition.now);
  put(transition, { finished: undefined });
  transition.effects.push({ kind: "record-failover", failover, outcome: "done" });
}

/**
 * Returns the latest time at which something happens by itself: the driver then sends a `time` event. Undefined: only
 * events cause a change.
 */
export function wakeAt(state: ServiceState, now: number): number | undefined {
  const times: number[] = [];
  const phase = state.phase;
  if (phase.kind === "agreeing") times.push(phase.until);
  if (phase.kind === "down")
    times.push(phase.retryAt, ...ranking({ state, now }, undefined).pending.map(({ dueAt }) => dueAt));
  if (phase.kind === "promoting")
    times.push(phase.progress.at + budgetMs(phase.progress, state.hosts.get(phase.candidate)?.report, state.settings));
  if (phase.kind === "demoting" && phase.failover.kind === "impaired")
    times.push(phase.since + state.settings.demoteMs);
  if (phase.kind === "awaiting") times.push(ownerStuckAt(state, phase.since) ?? -Infinity);
  if (phase.kind === "unknown" && state.firstHeardAt !== undefined)
    times.push(state.firstHeardAt + state.settings.electWaitMs);
  if (phase.kind === "awaiting" && state.primary !== undefined && primaryStatus(state, now) === "becoming") {
    times.push(state.primary.adoptedAt + state.settings.awaitMs);
  }
  times.push(proofEndsAt(state), firstLookEndsAt(state));
  const owner = state.primary === undefined ? undefined : state.hosts.get(state.primary.host);
  if (owner !== undefined) times.push(handoverEndsAt(owner));
  const ahead = times.filter((time) => time > now);
  return ahead.length === 0 ? undefined : Math.min(...ahead);
}
