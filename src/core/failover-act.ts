/** Acting: decide, choose a candidate, order it, and what becomes of the order. */
import { agree, seeingDown } from "./agreement.ts";
import { rankCandidates, type Ranking } from "./candidate.ts";
import { type CallRefusal, type DownReason, type Failover, type FailoverEvent, type FailoverKind, orderUnheardMs } from "./failover-state.ts";
import type { OrderBase } from "./witness.ts";
import { relationToPrimary } from "./failover-relation.ts";
import { abandon, adopt, become, nextKey, note, put, putHost, spent, type Turn } from "./failover-turn.ts";
import { describeRefusal } from "./refusal.ts";

/** This gateway has decided: the primary is down, or is not primary any more, or there has never been one. */
export function decide(turn: Turn): void {
  const { state, now } = turn;
  const kind = kindOfLoss(turn);
  const view = state.primary === null ? undefined : state.hosts.get(state.primary.host);
  const health = view?.health;
  const wellUntil = health?.kind === "down" || health?.kind === "up" ? health.lastWellAt : null;
  let failover = newFailover(turn, kind, null, false, null);
  if (wellUntil !== null) failover = spent(failover, "detect", now - wellUntil);
  const { level, what, detail } = eventOfLoss(kind);
  note(turn, level, what, state.primary?.host ?? null, detail);
  become(turn, { kind: "agreeing", failover, since: now, until: now });
}

export function newFailover(turn: Turn, kind: FailoverKind, target: string | null, planned: boolean, command: string | null): Failover {
  return {
    key: nextKey(turn),
    kind,
    from: turn.state.primary?.host ?? null,
    epochFrom: turn.state.primary?.epoch ?? 0,
    target,
    planned,
    command,
    decidedAt: turn.now,
    to: null,
    epochTo: null,
    attempts: 0,
    phases: {},
    tried: new Map(),
    told: new Set(),
  };
}

function kindOfLoss(turn: Turn): FailoverKind {
  const { state, now } = turn;
  if (state.primary === null) return "first";
  const view = state.hosts.get(state.primary.host);
  if (relationToPrimary(state, now) === "stepped-down") return "stepped-down";
  return view?.health.kind === "down" && (view.health.cause === "refused" || view.health.cause === "reset") ? "kill" : "hang";
}

/** A primary that somebody stopped is no alarm. */
function eventOfLoss(kind: FailoverKind): { readonly level: "info" | "warning"; readonly what: string; readonly detail: string } {
  switch (kind) {
    case "first":
      return { level: "info", what: "no-primary-yet", detail: "nobody has been primary: the best host is to be the first" };
    case "stepped-down":
      return { level: "info", what: "primary-stepped-down", detail: "decided to fail over: it gave up by itself" };
    default:
      return { level: "warning", what: "primary-lost", detail: `decided to fail over: ${kind}` };
  }
}

/** Acts as soon as the other gateways agree, or the time to wait for them is over. */
export function actWhenAgreed(turn: Turn, failover: Failover, since: number): void {
  const { state, now } = turn;
  if (state.automation.kind === "paused" && !failover.planned) return standDown(turn, failover, { kind: "paused" });
  const question = { ...evidenceQuestion(turn, failover), decidedAt: since };
  const { agreeWaitMs, staggerMs } = state.settings;
  const agreement = agree({ ...question, agreeWaitMs, staggerMs }, turn.rules);
  switch (agreement.kind) {
    case "wait":
      if (state.phase.kind === "agreeing" && state.phase.until === agreement.until) return;
      put(turn, { phase: { kind: "agreeing", failover, since, until: agreement.until } });
      return;
    case "overruled":
      return standDown(turn, failover, { kind: "vetoed", evidence: `the gateways ${agreement.seeingUp.join(", ")} see it well` });
    case "act":
      return promoteBest(turn, spent(failover, "agree", now - since));
  }
}

function evidenceQuestion(turn: Turn, failover: Failover) {
  const { settings, gateways, peers } = turn.state;
  return {
    self: settings.gateway,
    registered: gateways,
    peers: peers.values(),
    epoch: failover.epochFrom,
    now: turn.now,
    freshMs: settings.viewFreshMs,
  };
}

/** A primary that is not in the registry is watched by nobody, so nobody can say that it is down: the witness decides. */
function evidence(turn: Turn, failover: Failover): readonly string[] {
  if (failover.from !== null && !turn.state.hosts.has(failover.from)) return [];
  return turn.rules.has("majority") ? seeingDown(evidenceQuestion(turn, failover)) : turn.state.gateways;
}

export function ranking(turn: Pick<Turn, "state" | "now">, failover: Failover | null): Ranking {
  const { state, now } = turn;
  return rankCandidates({
    service: state.settings.service,
    hosts: state.hosts.values(),
    tried: failover?.tried ?? new Map<string, string>(),
    target: failover?.target ?? null,
    now,
    staleMs: state.settings.staleMs,
  });
}

/** Orders the best candidate to take over, or stands down when there is none. */
export function promoteBest(turn: Turn, failover: Failover): void {
  const ranked = ranking(turn, failover);
  const best = ranked.eligible[0];
  if (best === undefined) {
    const why = ranked.rejected.map(({ host, why }) => `${host}: ${why}`).join("; ") || "no host is registered";
    return standDown(turn, failover, { kind: "no-candidate", why });
  }
  const call = nextKey(turn);
  const attempt: Failover = { ...failover, to: best.host, attempts: failover.attempts + 1 };
  become(turn, { kind: "promoting", failover: attempt, candidate: best.host, call, since: turn.now, lostAt: null });
  turn.effects.push({ kind: "record-failover", failover: attempt, outcome: "running" });
  turn.effects.push({
    kind: "promote",
    call,
    host: best.host,
    epoch: failover.epochFrom,
    planned: failover.planned,
    gatewaysRegistered: turn.state.gateways.length,
    gatewaysSeeingDown: evidence(turn, failover),
    basedOn: basisOf(turn, best.host),
  });
}

/** The candidate's last words, and how long after them it may obey: `orderUnheardMs` from now on, by its own clock. */
function basisOf({ state, now }: Turn, host: string): OrderBase | null {
  const view = state.hosts.get(host);
  if (view === undefined || view.report === null || view.report.clockMs === null) return null;
  const { instance, clockMs } = view.report;
  return { instance, clockMs, validMs: now - view.reportAt + orderUnheardMs };
}

/** Nothing can be done now. The route to the last known primary stays (static stability), and it is tried again later. */
export function standDown(turn: Turn, failover: Failover, because: DownReason): void {
  const why = because.kind === "no-candidate" ? because.why : because.kind === "vetoed" ? because.evidence : "automation is paused";
  const told = noteOnce(turn, failover, `failover-${because.kind}`, failover.from, why);
  if (failover.command !== null) {
    const advice = because.kind === "vetoed" ? "the primary lives; use --force to replace it all the same" : "see `stead failover --dry-run`";
    turn.effects.push({ kind: "reply", id: failover.command, outcome: { kind: "refused", why, advice } });
  }
  // A switchover that cannot be finished now is finished later, also in a pause: its primary stepped down on our order.
  const planned = failover.kind === "switchover";
  const waiting: Failover = { ...failover, command: null, planned, tried: new Map(), told };
  become(turn, { kind: "down", failover: waiting, since: turn.now, because, retryAt: turn.now + turn.state.settings.retryMs });
}

/** The candidate did not become primary: the next one. */
export function tryNext(turn: Turn, failover: Failover, since: number, candidate: string, why: string): void {
  const told = noteOnce(turn, failover, "promotion-failed", candidate, why);
  const tried = new Map(failover.tried).set(candidate, why);
  promoteBest(turn, spent({ ...failover, tried, told }, "retry", turn.now - since));
}

/** Notes a kind of mishap once per host and failover: a candidate that refuses every second would fill the events. */
function noteOnce(turn: Turn, failover: Failover, what: string, host: string | null, detail: string): ReadonlySet<string> {
  const key = `${what} ${host ?? ""}`;
  if (failover.told.has(key)) return failover.told;
  note(turn, "warning", what, host, detail);
  return new Set(failover.told).add(key);
}

/** Events of the promotion or demotion that is under way; those of an earlier call are stale and change nothing. */
export function onCall(turn: Turn, event: FailoverEvent): void {
  const phase = turn.state.phase;
  if (phase.kind !== "promoting" && phase.kind !== "demoting") return;
  if (!("call" in event) || event.call !== phase.call) return;
  switch (event.kind) {
    case "phase-ended":
      return onPhaseEnded(turn, event.phase, event.ms);
    case "promoted":
      if (phase.kind === "promoting") finish(turn, phase.failover, phase.candidate, event.epoch, event.dataUrl);
      return;
    case "demoted":
      if (phase.kind === "demoting") onDemoted(turn, phase.failover, phase.since);
      return;
    case "call-refused":
      return onRefused(turn, event.refusal);
    case "call-lost": {
      const asked = phase.kind === "promoting" ? phase.candidate : phase.failover.from;
      note(turn, "warning", "call-lost", asked, event.why);
      put(turn, { phase: { ...phase, lostAt: turn.now } });
      if (asked !== null) turn.effects.push({ kind: "probe", host: asked });
      return;
    }
  }
}

function onPhaseEnded(turn: Turn, name: string, ms: number): void {
  const phase = turn.state.phase;
  if (phase.kind === "demoting") put(turn, { phase: { ...phase, failover: spent(phase.failover, "demote", ms) } });
  if (phase.kind !== "promoting") return;
  const known = { claim: "claim", lease: "lease", "catch-up": "catchUp", start: "start", ready: "start" } as const;
  const key = Object.hasOwn(known, name) ? known[name as keyof typeof known] : null;
  if (key !== null) put(turn, { phase: { ...phase, failover: spent(phase.failover, key, ms) } });
  // The claim is in the log: the old primary is fenced from here on, and nothing more of it may reach a client.
  if (name === "claim" && phase.failover.from !== null && phase.failover.from !== phase.candidate) {
    turn.effects.push({ kind: "drop", host: phase.failover.from, reason: `host ${phase.candidate} has claimed the next epoch` });
  }
}

/** The candidate is primary. Its report is rewritten, because the last one is older than this news. */
export function finish(turn: Turn, failover: Failover, host: string, epoch: number, dataUrl: string): void {
  adopt(turn, host, epoch, null, dataUrl);
  const view = turn.state.hosts.get(host);
  if (view !== undefined && view.report !== null && turn.state.primary?.host === host) {
    const report = { ...view.report, role: "primary" as const, reason: null, epoch, epochHost: host, dataUrl };
    putHost(turn, { ...view, report, reportAt: turn.now });
  }
  const ended: Failover = { ...failover, to: host, epochTo: epoch };
  become(turn, { kind: "serving" });
  put(turn, { finished: { failover: ended, at: turn.now } });
  note(turn, "info", "failover-done", host, `${ended.kind}: ${ended.from ?? "nobody"} to ${host}, epoch ${epoch}`);
  turn.effects.push({ kind: "record-failover", failover: ended, outcome: "done" });
  if (ended.command !== null) {
    turn.effects.push({ kind: "reply", id: ended.command, outcome: { kind: "done", primary: host, epoch, failover: ended } });
  }
}

function onDemoted(turn: Turn, failover: Failover, since: number): void {
  const view = failover.from === null ? undefined : turn.state.hosts.get(failover.from);
  if (view !== undefined && view.report !== null) {
    putHost(turn, { ...view, report: { ...view.report, role: "restoring", reason: "stepped down" }, reportAt: turn.now });
  }
  const measured = failover.phases.demote === undefined ? spent(failover, "demote", turn.now - since) : failover;
  promoteBest(turn, measured);
}

function onRefused(turn: Turn, refusal: CallRefusal): void {
  const phase = turn.state.phase;
  if (phase.kind !== "promoting" && phase.kind !== "demoting") return;
  const { failover, since } = phase;
  const known = turn.state.primary?.epoch ?? 0;
  if (refusal.kind === "epoch_taken" && phase.kind === "promoting" && refusal.host === phase.candidate && refusal.epoch > failover.epochFrom) {
    // Another gateway promotes the same host: that is what was wanted, and its next word says how it ends.
    adopt(turn, refusal.host, refusal.epoch, null, null);
    turn.effects.push({ kind: "probe", host: phase.candidate });
    return put(turn, { phase: { ...phase, lostAt: turn.now } });
  }
  if (refusal.kind === "epoch_taken" && (refusal.epoch > known || (refusal.epoch === known && refusal.host !== failover.from))) {
    abandon(turn, failover, "overtaken", `host ${refusal.host} is primary since epoch ${refusal.epoch}`, "see `stead status`");
    adopt(turn, refusal.host, refusal.epoch, null, null);
    return become(turn, { kind: "awaiting", since: turn.now });
  }
  if (phase.kind === "demoting") {
    const why = describeRefusal(refusal);
    abandon(turn, failover, "refused", `${failover.from ?? "the primary"} refused to step down: ${why}`, "see `stead status`");
    return become(turn, { kind: "suspect", since: turn.now, cause: why });
  }
  if (refusal.kind === "primary_alive") {
    turn.effects.push({ kind: "record-failover", failover, outcome: "refused" });
    return standDown(turn, spent(failover, "retry", turn.now - since), { kind: "vetoed", evidence: `${phase.candidate} says: ${refusal.evidence}` });
  }
  tryNext(turn, failover, since, phase.candidate, describeRefusal(refusal));
}
