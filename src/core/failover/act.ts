/** Acting: decides, waits for the other gateways, and handles the results of orders (order.ts issues them). */
import { brakeOf, causeOfLoss } from "./brake.ts";
import type { Cause } from "./loss.ts";
import { stepEnded } from "./budget.ts";
import type { Failover, FailoverEvent, FailoverKind, Phase } from "./state.ts";
import { agreementOf, promoteBest, standDown, tryNext, waitsForBrake } from "./order.ts";
import { relationToPrimary } from "./relation.ts";
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
  type Turn,
} from "./turn.ts";
import { describeRefusal, type Refusal } from "../refusal.ts";

/** Decides that the primary is down, or no longer primary, or that there has never been one. */
export function decide(turn: Turn): void {
  const { state, now } = turn;
  const kind = kindOfLoss(turn);
  const view = state.primary === undefined ? undefined : state.hosts.get(state.primary.host);
  const health = view?.health;
  const wellUntil = health?.kind === "down" || health?.kind === "up" ? health.lastWellAt : undefined;
  const cause = causeOfLoss(state, now);
  let failover: Failover = { ...newFailover(turn, kind), cause, brake: brakeFor(turn, cause) };
  if (wellUntil !== undefined) failover = spent(failover, "detect", now - wellUntil);
  const { level, what, detail } = eventOfLoss(kind, cause);
  recordEvent(turn, level, what, state.primary?.host, detail);
  become(turn, { kind: "agreeing", failover, since: now, until: now });
}

/** Returns the brake that the end of the present primary has to wait for. */
export function brakeFor({ state, now, rules }: Turn, cause: Cause | undefined): Failover["brake"] {
  if (cause === undefined || state.primary === undefined || !rules.has("brake")) return undefined;
  return brakeOf(state.losses, cause, now - state.primary.adoptedAt, now);
}

export function newFailover(turn: Turn, kind: FailoverKind, change: Partial<Failover> = {}): Failover {
  return {
    key: nextKey(turn),
    kind,
    from: turn.state.primary?.host,
    epochFrom: turn.state.primary?.epoch ?? 0,
    target: undefined,
    planned: false,
    force: false,
    cause: undefined,
    brake: undefined,
    command: undefined,
    decidedAt: turn.now,
    to: undefined,
    epochTo: undefined,
    attempts: 0,
    phases: {},
    tried: new Map(),
    told: new Set(),
    ...change,
  };
}

function kindOfLoss(turn: Turn): FailoverKind {
  const { state, now } = turn;
  if (state.primary === undefined) return "first";
  const view = state.hosts.get(state.primary.host);
  if (relationToPrimary(state, now) === "stepped-down") return "stepped-down";
  return view?.health.kind === "down" && (view.health.cause === "refused" || view.health.cause === "reset")
    ? "kill"
    : "hang";
}

/** Deliberately stopping a primary is no alarm. */
function eventOfLoss(
  kind: FailoverKind,
  cause: Cause | undefined,
): { readonly level: "info" | "warning"; readonly what: string; readonly detail: string } {
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
        detail: `decided to fail over: ${cause?.text ?? "it gave up by itself"}`,
      };
    default:
      return {
        level: "warning",
        what: "primary-lost",
        detail: `decided to fail over: ${kind}${cause === undefined ? "" : `, ${cause.text}`}`,
      };
  }
}

/** Acts as soon as the other gateways agree, or the wait for them times out. */
export function actWhenAgreed(turn: Turn, failover: Failover, since: number): void {
  const { state, now } = turn;
  if (state.automation.kind === "paused" && !failover.planned) return standDown(turn, failover, { kind: "paused" });
  const agreement = agreementOf(turn, failover, since);
  switch (agreement.kind) {
    case "wait":
      if (state.phase.kind === "agreeing" && state.phase.until === agreement.until) return;
      put(turn, { phase: { kind: "agreeing", failover, since, until: agreement.until } });
      return;
    case "overruled":
      return standDown(turn, failover, {
        kind: "vetoed",
        evidence: `the gateways ${agreement.seeingUp.join(", ")} see it well`,
      });
    case "act":
      if (waitsForBrake(turn, failover)) return;
      return promoteBest(turn, spent(failover, "agree", now - since));
  }
}

/** Handles events of the promotion or demotion in progress; those of an earlier call are stale and change nothing. */
export function onCall(turn: Turn, event: FailoverEvent): void {
  const phase = turn.state.phase;
  if (phase.kind !== "promoting" && phase.kind !== "demoting") return;
  if (!("call" in event) || event.call !== phase.call) return;
  switch (event.kind) {
    case "phase-ended":
      return onPhaseEnded(turn, event.phase, event.ms);
    case "promoted":
      if (phase.kind === "promoting")
        recordPromotion(turn, phase.failover, phase.candidate, event.epoch, event.dataUrl);
      return;
    case "demoted":
      if (phase.kind === "demoting") onDemoted(turn, phase.failover, phase.since);
      return;
    case "call-refused":
      return onRefused(turn, event.refusal);
    case "call-lost": {
      const asked = phase.kind === "promoting" ? phase.candidate : phase.failover.from;
      recordEvent(turn, "warning", "call-lost", asked, event.why);
      put(turn, { phase: { ...phase, lostAt: turn.now } });
      if (asked !== undefined) turn.effects.push({ kind: "probe", host: asked });
      return;
    }
  }
}

function onPhaseEnded(turn: Turn, name: string, ms: number): void {
  const phase = turn.state.phase;
  if (phase.kind === "demoting") put(turn, { phase: { ...phase, failover: spent(phase.failover, "demote", ms) } });
  if (phase.kind !== "promoting") return;
  const known = { claim: "claim", lease: "lease", "catch-up": "catchUp", start: "start", ready: "start" } as const;
  const key = Object.hasOwn(known, name) ? known[name as keyof typeof known] : undefined;
  const progress = stepEnded(phase.progress, name, turn.now);
  if (key !== undefined) put(turn, { phase: { ...phase, progress, failover: spent(phase.failover, key, ms) } });
  // The claim is in the log: the old primary is fenced from here on, and nothing more of it may reach a client.
  if (name === "claim" && phase.failover.from !== undefined && phase.failover.from !== phase.candidate) {
    turn.effects.push({
      kind: "drop",
      host: phase.failover.from,
      reason: `host ${phase.candidate} has claimed the next epoch`,
    });
  }
}

/** Records that the candidate is primary. Its report is rewritten, because the last one is older than this news. */
export function recordPromotion(turn: Turn, failover: Failover, host: string, epoch: number, dataUrl: string): void {
  const known = turn.state.primary;
  const isBelow = known !== undefined && (epoch < known.epoch || (epoch === known.epoch && host !== known.host));
  // It read the log to its end before it claimed (R1): what was known of a later epoch is false. But not what was
  // stored, since hosts had proved it: the vault may be an older copy, and only an operator can order to follow that.
  const isStored = known?.unproven?.kind === "memory" && failover.command === undefined;
  if (isBelow && !isStored && turn.rules.has("epoch-proof"))
    disprove(turn, { host, epoch, dataUrl }, `${host} has read the log to its end and claimed epoch ${epoch}`);
  else adopt(turn, { host, epoch, dataUrl }, { kind: "host", host });
  const view = turn.state.hosts.get(host);
  if (view !== undefined && view.report !== undefined && turn.state.primary?.host === host) {
    const report = { ...view.report, role: "primary" as const, reason: undefined, epoch, epochHost: host, dataUrl };
    putHostView(turn, { ...view, report, reportAt: turn.now });
  }
  const ended: Failover = { ...failover, to: host, epochTo: epoch };
  become(turn, { kind: "serving" });
  put(turn, { finished: { failover: ended, at: turn.now } });
  recordEvent(turn, "info", "failover-done", host, `${ended.kind}: ${ended.from ?? "none"} to ${host}, epoch ${epoch}`);
  turn.effects.push({ kind: "record-failover", failover: ended, outcome: "done" });
  if (ended.command !== undefined) {
    turn.effects.push({
      kind: "reply",
      id: ended.command,
      outcome: { kind: "done", primary: host, epoch, failover: ended },
    });
  }
}

function onDemoted(turn: Turn, failover: Failover, since: number): void {
  const view = failover.from === undefined ? undefined : turn.state.hosts.get(failover.from);
  if (view !== undefined && view.report !== undefined) {
    putHostView(turn, {
      ...view,
      report: { ...view.report, role: "restoring", reason: "stepped down" },
      reportAt: turn.now,
    });
  }
  const measured = failover.phases.demote === undefined ? spent(failover, "demote", turn.now - since) : failover;
  promoteBest(turn, measured);
}

function onRefused(turn: Turn, refusal: Refusal): void {
  const phase = turn.state.phase;
  if (phase.kind !== "promoting" && phase.kind !== "demoting") return;
  const { failover, since } = phase;
  const known = turn.state.primary?.epoch ?? 0;
  if (
    refusal.kind === "epoch_taken" &&
    phase.kind === "promoting" &&
    refusal.host === phase.candidate &&
    refusal.epoch > failover.epochFrom
  ) {
    // Another gateway promotes the same host, as intended; its next report shows the outcome.
    adopt(turn, refusal, { kind: "host", host: phase.candidate });
    turn.effects.push({ kind: "probe", host: phase.candidate });
    return put(turn, { phase: { ...phase, lostAt: turn.now } });
  }
  if (
    refusal.kind === "epoch_taken" &&
    (refusal.epoch > known || (refusal.epoch === known && refusal.host !== failover.from)) &&
    adopt(turn, refusal, { kind: "host", host: askedHost(phase) })
  ) {
    abortFailover(
      turn,
      failover,
      "overtaken",
      `host ${refusal.host} is primary since epoch ${refusal.epoch}`,
      "see `stead status`",
    );
    return become(turn, { kind: "awaiting", since: turn.now });
  }
  if (phase.kind === "demoting") {
    const why = describeRefusal(refusal);
    put(turn, { relieveAfter: turn.now + relieveAgainMs });
    abortFailover(
      turn,
      failover,
      "refused",
      `${failover.from ?? "the primary"} refused to step down: ${why}`,
      "see `stead status`",
    );
    return become(turn, { kind: "suspect", since: turn.now, cause: why });
  }
  if (refusal.kind === "primary_alive") {
    turn.effects.push({ kind: "record-failover", failover, outcome: "refused" });
    return standDown(turn, spent(failover, "retry", turn.now - since), {
      kind: "vetoed",
      evidence: `${phase.candidate} says: ${refusal.evidence}`,
    });
  }
  tryNext(
    turn,
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
