/** Promotes: decides, waits for the other gateways, and handles the results of orders (order.ts issues them). */
import type { EventName } from "../event-name.ts";
import { brakeOf, causeOfLoss } from "./brake.ts";
import type { Cause, FailoverKind } from "./loss.ts";
import { stepEnded } from "./budget.ts";
import type { Failover, FailoverEvent, Phase } from "./state.ts";
import { agreementOf, promoteBest, standDown, tryNext, waitsForBrake } from "./order.ts";
import { primaryStatus } from "./primary-status.ts";
import {
  abortFailover,
  adopt,
  become,
  disprove,
  nextKey,
  recordEvent,
  put,
  putHostView,
  spent,
  type Transition,
} from "./transition.ts";
import { describeRefusal, type Refusal } from "../refusal.ts";

/** Decides that the primary is down, or no longer primary, or that there has never been one. */
export function decide(transition: Transition): void {
  const { state, now } = transition;
  const kind = kindOfLoss(transition);
  const view = state.primary === undefined ? undefined : state.hosts.get(state.primary.host);
  const health = view?.health;
  const wellUntil = health?.kind === "down" || health?.kind === "up" ? health.lastWellAt : undefined;
  const cause = causeOfLoss(state, now);
  let failover: Failover = { ...newFailover(transition, kind), cause, brake: brakeFor(transition, cause) };
  if (wellUntil !== undefined) failover = spent(failover, "detect", now - wellUntil, now);
  const { level, what, detail } = eventOfLoss(kind, cause);
  recordEvent(transition, level, what, state.primary?.host, detail);
  become(transition, { kind: "agreeing", failover, since: now, until: now });
}

/** Returns the brake that the end of the present primary has to wait for. */
export function brakeFor({ state, now, rules }: Transition, cause: Cause | undefined): Failover["brake"] {
  if (cause === undefined || state.primary === undefined || !rules.has("brake")) return undefined;
  return brakeOf(state.losses, cause, now - state.primary.adoptedAt, now);
}

export function newFailover(transition: Transition, kind: FailoverKind, change: Partial<Failover> = {}): Failover {
  return {
    key: nextKey(transition),
    kind,
    from: transition.state.primary?.host,
    epochFrom: transition.state.primary?.epoch ?? 0,
    target: undefined,
    planned: false,
    force: false,
    cause: undefined,
    brake: undefined,
    command: undefined,
    decidedAt: transition.now,
    to: undefined,
    epochTo: undefined,
    attempts: 0,
    phases: {},
    timeline: [],
    tried: new Map(),
    told: new Set(),
    ...change,
  };
}

function kindOfLoss(transition: Transition): FailoverKind {
  const { state, now } = transition;
  if (state.primary === undefined) return "first";
  const view = state.hosts.get(state.primary.host);
  if (primaryStatus(state, now) === "stepped-down") return "stepped-down";
  return view?.health.kind === "down" && (view.health.cause === "refused" || view.health.cause === "reset")
    ? "kill"
    : "hang";
}

const takeoverInWords = "requests wait until another host serves";

/** Deliberately stopping a primary is no alarm. */
function eventOfLoss(
  kind: FailoverKind,
  cause: Cause | undefined,
): { readonly level: "info" | "warning"; readonly what: EventName; readonly detail: string } {
  switch (kind) {
    case "first":
      return {
        level: "info",
        what: "no-primary-yet",
        detail: "no host has been primary: the best host becomes the first",
      };
    case "stepped-down":
      return {
        level: "info",
        what: "primary-stepped-down",
        detail: `${cause?.text ?? "it gave up by itself"}: ${takeoverInWords}`,
      };
    default:
      return {
        level: "warning",
        what: "primary-lost",
        detail: `${cause === undefined ? kind : `${cause.text} (${kind})`}: ${takeoverInWords}`,
      };
  }
}

/** Acts as soon as the other gateways agree, or the wait for them times out. */
export function actWhenAgreed(transition: Transition, failover: Failover, since: number): void {
  const { state, now } = transition;
  if (state.automation.kind === "paused" && !failover.planned)
    return standDown(transition, failover, { kind: "paused" });
  const agreement = agreementOf(transition, failover, since);
  switch (agreement.kind) {
    case "wait":
      if (state.phase.kind === "agreeing" && state.phase.until === agreement.until) return;
      put(transition, { phase: { kind: "agreeing", failover, since, until: agreement.until } });
      return;
    case "overruled":
      return standDown(transition, failover, {
        kind: "vetoed",
        evidence: `the gateways ${agreement.seeingUp.join(", ")} see it well`,
      });
    case "act":
      if (waitsForBrake(transition, failover)) return;
      return promoteBest(transition, spent(failover, "agree", now - since, now));
  }
}

/** Handles events of the promotion or demotion in progress; those of an earlier call are stale and change nothing. */
export function onCall(transition: Transition, event: FailoverEvent): void {
  const phase = transition.state.phase;
  if (phase.kind !== "promoting" && phase.kind !== "demoting") return;
  if (!("call" in event) || event.call !== phase.call) return;
  switch (event.kind) {
    case "phase-ended":
      return onPhaseEnded(transition, event.phase, event.ms);
    case "promoted":
      if (phase.kind === "promoting")
        recordPromotion(transition, phase.failover, phase.candidate, event.epoch, event.dataUrl);
      return;
    case "demoted":
      if (phase.kind === "demoting") onDemoted(transition, phase.failover, phase.since);
      return;
    case "call-refused":
      return onRefused(transition, event.refusal);
    case "call-lost": {
      const asked = phase.kind === "promoting" ? phase.candidate : phase.failover.from;
      recordEvent(transition, "warning", "call-lost", asked, event.why);
      put(transition, { phase: { ...phase, lostAt: transition.now } });
      if (asked !== undefined) transition.effects.push({ kind: "probe", host: asked });
      return;
    }
  }
}

function onPhaseEnded(transition: Transition, name: string, ms: number): void {
  const phase = transition.state.phase;
  if (phase.kind === "demoting")
    put(transition, { phase: { ...phase, failover: spent(phase.failover, "demote", ms, transition.now) } });
  if (phase.kind !== "promoting") return;
  const known = { claim: "claim", lease: "lease", "catch-up": "catchUp", start: "start", ready: "start" } as const;
  const key = Object.hasOwn(known, name) ? known[name as keyof typeof known] : undefined;
  const progress = stepEnded(phase.progress, name, transition.now);
  if (key !== undefined)
    put(transition, { phase: { ...phase, progress, failover: spent(phase.failover, key, ms, transition.now) } });
  // The claim is in the log: the old primary is fenced from here on, and nothing more of it may reach a client.
  if (name === "claim" && phase.failover.from !== undefined && phase.failover.from !== phase.candidate) {
    transition.effects.push({
      kind: "drop",
      host: phase.failover.from,
      reason: `host ${phase.candidate} has claimed the next epoch`,
    });
  }
}

/** Records that the candidate is primary. Its report is rewritten, because the last one is older than this news. */
export function recordPromotion(
  transition: Transition,
  failover: Failover,
  host: string,
  epoch: number,
  dataUrl: string,
): void {
  const known = transition.state.primary;
  const isBelow = known !== undefined && (epoch < known.epoch || (epoch === known.epoch && host !== known.host));
  // It read the log to its end before it claimed (R1): what was known of a later epoch is false. But not what was
  // stored, since hosts had proved it: the vault may be an older copy, and only an operator can order to follow that.
  const isStored = known?.unproven?.kind === "memory" && failover.command === undefined;
  if (isBelow && !isStored && transition.rules.has("epoch-proof"))
    disprove(transition, { host, epoch, dataUrl }, `${host} has read the log to its end and claimed epoch ${epoch}`);
  else adopt(transition, { host, epoch, dataUrl }, { kind: "host", host });
  const view = transition.state.hosts.get(host);
  if (view !== undefined && view.report !== undefined && transition.state.primary?.host === host) {
    const report = { ...view.report, role: "primary" as const, reason: undefined, epoch, epochHost: host, dataUrl };
    putHostView(transition, { ...view, report, reportAt: transition.now });
  }
  const ended: Failover = { ...failover, to: host, epochTo: epoch };
  become(transition, { kind: "serving" });
  put(transition, { finished: { failover: ended, at: transition.now } });
  recordEvent(
    transition,
    "info",
    "failover-done",
    host,
    `${doneInWords(ended, host)}, epoch ${epoch}: requests that waited are answered`,
  );
  transition.effects.push({ kind: "record-failover", failover: ended, outcome: "done" });
  if (ended.command !== undefined) {
    transition.effects.push({
      kind: "reply",
      id: ended.command,
      outcome: { kind: "done", primary: host, epoch, failover: ended },
    });
  }
}

function doneInWords({ kind, from }: Failover, host: string): string {
  if (kind === "first" || from === undefined) return `${host} is the first primary`;
  if (from === host) return `${host} is primary again (${kind})`;
  return `${host} is primary in place of ${from} (${kind})`;
}

function onDemoted(transition: Transition, failover: Failover, since: number): void {
  const view = failover.from === undefined ? undefined : transition.state.hosts.get(failover.from);
  if (view !== undefined && view.report !== undefined) {
    putHostView(transition, {
      ...view,
      report: { ...view.report, role: "restoring", reason: "stepped down" },
      reportAt: transition.now,
    });
  }
  const measured =
    failover.phases.demote === undefined ? spent(failover, "demote", transition.now - since, transition.now) : failover;
  promoteBest(transition, measured);
}

function onRefused(transition: Transition, refusal: Refusal): void {
  const phase = transition.state.phase;
  if (phase.kind !== "promoting" && phase.kind !== "demoting") return;
  const { failover, since } = phase;
  const known = transition.state.primary?.epoch ?? 0;
  if (
    refusal.kind === "epoch_taken" &&
    phase.kind === "promoting" &&
    refusal.host === phase.candidate &&
    refusal.epoch > failover.epochFrom
  ) {
    // Another gateway promotes the same host, as intended; its next report shows the outcome.
    adopt(transition, refusal, { kind: "host", host: phase.candidate });
    transition.effects.push({ kind: "probe", host: phase.candidate });
    return put(transition, { phase: { ...phase, lostAt: transition.now } });
  }
  if (
    refusal.kind === "epoch_taken" &&
    (refusal.epoch > known || (refusal.epoch === known && refusal.host !== failover.from)) &&
    adopt(transition, refusal, { kind: "host", host: askedHost(phase) })
  ) {
    abortFailover(
      transition,
      failover,
      "overtaken",
      `host ${refusal.host} is primary since epoch ${refusal.epoch}`,
      "see `stead status`",
    );
    return become(transition, { kind: "awaiting", since: transition.now });
  }
  if (phase.kind === "demoting") {
    const why = describeRefusal(refusal);
    put(transition, { relieveAfter: transition.now + relieveAgainMs });
    abortFailover(
      transition,
      failover,
      "refused",
      `${failover.from ?? "the primary"} refused to step down: ${why}`,
      "see `stead status`",
    );
    return become(transition, { kind: "suspect", since: transition.now, cause: why });
  }
  if (refusal.kind === "primary_alive") {
    transition.effects.push({ kind: "record-failover", failover, outcome: "refused" });
    return standDown(transition, spent(failover, "retry", transition.now - since, transition.now), {
      kind: "vetoed",
      evidence: `${phase.candidate} says: ${refusal.evidence}`,
    });
  }
  tryNext(
    transition,
    failover,
    since,
    phase.candidate,
    describeRefusal(refusal),
    refusal.kind === "other_log" ? "error" : "warning",
  );
}

const askedHost = (phase: Phase & { kind: "promoting" | "demoting" }): string =>
  phase.kind === "promoting" ? phase.candidate : (phase.failover.from ?? "");

/** A primary that refused to be moved away from its impairment is asked again after this time. */
export const relieveAgainMs = 30_000;
