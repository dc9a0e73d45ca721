/**
 * Third part of a step: moves the phase until it follows from what is known.
 *
 * Level-triggered on purpose: what must happen depends on what is known, not on which event reported it. A lost,
 * repeated or reordered event therefore cannot leave the phase stuck.
 */
import { downInWords } from "./health.ts";
import { type Failover, orderUnheardMs, type Phase, type ServiceState } from "./state.ts";
import { actWhenAgreed, decide, recordPromotion, newFailover } from "./promote.ts";
import { budgetMs, progressed } from "./budget.ts";
import { relieve } from "./impaired.ts";
import { replaceCandidate, isOwnMove, promoteBest, ranking, tryNext } from "./order.ts";
import { primaryStatus, type PrimaryStatus } from "./primary-status.ts";
import { abortFailover, become, recordEvent, put, spent, type Transition } from "./transition.ts";

/**
 * The answer to a promotion arrives with the report that says the same, or is lost. Its phases are worth this wait, but
 * no more of the clients' time.
 */
const answerAwaitedMs = 250;
/** More turns than this within one step would mean two phases that disagree without end. */
const turnsMax = 24;

export function reconcile(transition: Transition): void {
  for (let turns = 0; ; turns++) {
    if (turns === turnsMax)
      throw new Error(
        `the phases of service ${transition.state.settings.service} do not settle: ${transition.state.phase.kind}`,
      );
    const before = transition.state.phase;
    reconcileOnce(transition, before);
    if (transition.state.phase === before) return;
  }
}

function reconcileOnce(transition: Transition, phase: Phase): void {
  const status = primaryStatus(transition.state, transition.now);
  switch (phase.kind) {
    case "unknown":
    case "awaiting":
    case "serving":
    case "suspect":
      // An epoch that is known is never forgotten: only `unknown` has none.
      return status === "none" ? maybeElectFirst(transition) : trackPrimary(transition, status);
    case "agreeing":
      if (recovered(transition, phase.failover, status)) return;
      return actWhenAgreed(transition, phase.failover, phase.since);
    case "promoting":
      return reconcilePromoting(transition, phase);
    case "demoting":
      return reconcileDemoting(transition, phase, status);
    case "down":
      return reconcileDown(transition, phase, status);
  }
}

/** Not acting: the phase follows the observed primary. */
function trackPrimary(transition: Transition, status: Exclude<PrimaryStatus, "none">): void {
  const phase = transition.state.phase;
  switch (status) {
    case "serving":
      if (phase.kind !== "serving") return become(transition, { kind: "serving" });
      return relieve(transition);
    case "becoming":
      if (phase.kind !== "awaiting") return become(transition, { kind: "awaiting", since: transition.now });
      return replaceStuckOwner(transition, phase.since);
    case "leaving":
    case "handing-over":
      if (phase.kind !== "awaiting") become(transition, { kind: "awaiting", since: transition.now });
      return;
    case "doubtful":
      if (phase.kind !== "suspect")
        become(transition, { kind: "suspect", since: transition.now, cause: causeOfDoubt(transition) });
      return;
    case "unregistered":
    case "stepped-down":
    case "down":
      return decide(transition);
  }
}

/**
 * Returns until when an epoch's owner that another gateway promoted may take to serve; undefined: no limit has begun,
 * or another bound applies.
 */
export function ownerStuckAt(state: ServiceState, since: number): number | undefined {
  const { primary, settings, gateways } = state;
  const view = primary === undefined ? undefined : state.hosts.get(primary.host);
  const role = view?.report?.role;
  if (view === undefined || (role !== "claiming" && role !== "starting")) return undefined;
  // The ordering gateway comes first, the others after it one by one.
  const rank = gateways.indexOf(settings.gateway) + 1;
  return since + budgetMs({ step: "start" }, view.report, settings) + rank * settings.retryMs;
}

/** The gateway that promoted the epoch's owner may be gone: otherwise no gateway would give it up. */
function replaceStuckOwner(transition: Transition, since: number): void {
  const { state, now } = transition;
  const owner = state.primary?.host;
  const stuckAt = ownerStuckAt(state, since);
  if (stuckAt === undefined || owner === undefined || now < stuckAt || state.automation.kind === "paused") return;
  const why = `it has the epoch and did not begin to serve within ${Math.round((now - since) / 1_000)} s`;
  const failover = newFailover(transition, "hang", { planned: true, tried: new Map([[owner, why]]) });
  if (ranking(transition, failover).eligible.length === 0) return;
  recordEvent(transition, "error", "promotion-stuck", owner, why);
  promoteBest(transition, failover);
}

function causeOfDoubt(transition: Transition): string {
  const primary = transition.state.primary;
  const health = primary === undefined ? undefined : transition.state.hosts.get(primary.host)?.health;
  return health?.kind === "up" && health.doubt !== undefined ? health.doubt : "it was not heard yet";
}

/** On an empty vault: waits until every registered host was heard, or long enough, then lets the best one begin. */
function maybeElectFirst(transition: Transition): void {
  const { state, now } = transition;
  if (state.firstHeardAt === undefined || state.automation.kind === "paused") return;
  const all = [...state.hosts.values()].every((view) => view.report !== undefined);
  if (!all && now < state.firstHeardAt + state.settings.electWaitMs) return;
  if (ranking(transition, undefined).eligible.length > 0) decide(transition);
}

/** True if the loss is over: the primary is healthy again, or another host is about to be primary. */
function recovered(transition: Transition, failover: Failover, status: PrimaryStatus): boolean {
  const overtaken = (): true => {
    abortFailover(transition, failover, "overtaken", "another host is already becoming primary", "see `stead status`");
    become(transition, { kind: "awaiting", since: transition.now });
    return true;
  };
  switch (status) {
    case "serving":
      abortAsRecovered(transition, failover);
      return true;
    case "handing-over":
      // This gateway's own switchover continues; one ordered by another gateway is left to it.
      if (isOwnMove(failover)) return false;
      return overtaken();
    case "becoming":
    case "leaving":
      return overtaken();
    case "doubtful":
    case "none":
    case "unregistered":
    case "stepped-down":
    case "down":
      return false;
  }
}

function abortAsRecovered(transition: Transition, failover: Failover): void {
  recordEvent(
    transition,
    "info",
    "primary-recovered",
    transition.state.primary?.host,
    "seen healthy again before another host was promoted",
  );
  abortFailover(transition, failover, "recovered", "the primary is healthy again", "see `stead status`");
  become(transition, { kind: "serving" });
}

function reconcilePromoting(transition: Transition, phase: Phase & { kind: "promoting" }): void {
  const { state } = transition;
  const { failover, candidate, call } = phase;
  const primary = state.primary;
  const moved = primary !== undefined && (primary.epoch > failover.epochFrom || primary.host !== failover.from);
  if (moved && primary.host !== candidate) {
    transition.effects.push({ kind: "cancel", call });
    abortFailover(
      transition,
      failover,
      "overtaken",
      `host ${primary.host} is primary since epoch ${primary.epoch}`,
      "see `stead status`",
    );
    return become(transition, { kind: "awaiting", since: transition.now });
  }
  const view = state.hosts.get(candidate);
  if (view === undefined || view.health.kind === "down") {
    const why = view?.health.kind === "down" ? downInWords(view.health.cause) : "removed from the registry";
    transition.effects.push({ kind: "cancel", call });
    return tryNext(transition, failover, phase.since, candidate, why);
  }
  const { report } = view;
  const progress =
    report === undefined || view.reportAt <= phase.since
      ? phase.progress
      : progressed(phase.progress, report, moved, transition.now);
  if (progress !== phase.progress) return put(transition, { phase: { ...phase, progress } });
  // A lost answer would only have said that it serves, in an epoch after the one it was to follow.
  if (moved && report?.role === "primary" && transition.now >= progress.at + answerAwaitedMs)
    return recordPromotion(transition, failover, candidate, primary.epoch, report.dataUrl);
  if (transition.now >= progress.at + budgetMs(progress, report, state.settings))
    return replaceCandidate(transition, phase);
  if (
    phase.lostAt === undefined &&
    view.reportAt >= phase.since + orderUnheardMs &&
    (view.report?.role === "primary" || view.report?.role === "secondary")
  ) {
    if (view.report.role === "secondary") transition.effects.push({ kind: "cancel", call });
    return put(transition, { phase: { ...phase, lostAt: transition.now } });
  }
  if (phase.lostAt === undefined || view.report === undefined || view.reportAt <= phase.lostAt) return;
  switch (view.report.role) {
    case "primary":
      if (moved) recordPromotion(transition, failover, candidate, primary.epoch, view.report.dataUrl);
      // It was ordered to follow itself, because of an old report that it had stepped down: it never did.
      else if (primary?.host === candidate) abortAsRecovered(transition, failover);
      return;
    case "claiming":
    case "starting":
      return;
    case "draining":
    case "secondary":
    case "restoring":
    case "failed":
      return tryNext(
        transition,
        failover,
        phase.since,
        candidate,
        `the answer was lost, and it says that it is ${view.report.role}`,
      );
  }
}

function reconcileDemoting(transition: Transition, phase: Phase & { kind: "demoting" }, status: PrimaryStatus): void {
  const { failover, call } = phase;
  const primary = transition.state.primary;
  if (primary === undefined || primary.epoch > failover.epochFrom) {
    transition.effects.push({ kind: "cancel", call });
    abortFailover(
      transition,
      failover,
      "overtaken",
      `host ${primary?.host ?? "none"} is primary now`,
      "see `stead status`",
    );
    return become(transition, { kind: "awaiting", since: transition.now });
  }
  const reportAt = transition.state.hosts.get(primary.host)?.reportAt ?? -Infinity;
  const hasDecided = status === "serving" || status === "stepped-down" || status === "handing-over";
  if (phase.lostAt === undefined && reportAt >= phase.since + orderUnheardMs && hasDecided) {
    transition.effects.push({ kind: "cancel", call });
    return put(transition, { phase: { ...phase, lostAt: transition.now } });
  }
  const heardSince =
    phase.lostAt !== undefined && (transition.state.hosts.get(primary.host)?.reportAt ?? -Infinity) > phase.lostAt;
  if (
    failover.kind === "impaired" &&
    transition.now >= phase.since + transition.state.settings.demoteMs &&
    status !== "stepped-down" &&
    status !== "handing-over"
  ) {
    recordEvent(
      transition,
      "warning",
      "demotion-stuck",
      primary.host,
      `it did not step down within ${transition.state.settings.demoteMs} ms: it is promoted over`,
    );
    transition.effects.push({ kind: "cancel", call });
    return promoteBest(transition, spent(failover, "demote", transition.now - phase.since, transition.now));
  }
  switch (status) {
    case "down":
    case "unregistered":
      transition.effects.push({ kind: "cancel", call });
      return promoteBest(transition, spent(failover, "demote", transition.now - phase.since, transition.now));
    case "handing-over":
    case "stepped-down":
      if (phase.lostAt === undefined || !heardSince) return;
      return promoteBest(transition, spent(failover, "demote", transition.now - phase.since, transition.now));
    case "serving":
      if (!heardSince) return;
      abortFailover(
        transition,
        failover,
        "refused",
        "the order to step down was lost, and the primary still serves",
        "try again",
      );
      return become(transition, { kind: "serving" });
    case "none":
    case "becoming":
    case "leaving":
    case "doubtful":
      return;
  }
}

function reconcileDown(transition: Transition, phase: Phase & { kind: "down" }, status: PrimaryStatus): void {
  if (recovered(transition, phase.failover, status)) return;
  // A candidate that died, or gave up, after its claim has advanced the epoch: an order that names the old epoch would
  // always be refused (simulation, seed 508).
  const { primary } = transition.state;
  if (primary !== undefined && primary.epoch > phase.failover.epochFrom) {
    abortFailover(
      transition,
      phase.failover,
      "overtaken",
      `host ${primary.host} has taken epoch ${primary.epoch}`,
      "see `stead status`",
    );
    return become(transition, { kind: "awaiting", since: transition.now });
  }
  const waited = (): Failover => spent(phase.failover, "wait", transition.now - phase.since, transition.now);
  const again = (): void =>
    become(transition, { kind: "agreeing", failover: waited(), since: transition.now, until: transition.now });
  switch (phase.because.kind) {
    case "paused":
      if (transition.state.automation.kind === "on") again();
      return;
    case "no-candidate":
      if (
        (transition.state.automation.kind === "on" || phase.failover.planned) &&
        hasCandidate(transition) &&
        mayRetry(transition, phase)
      )
        again();
      return;
    case "braked":
      if (transition.state.automation.kind === "paused" || transition.now >= phase.retryAt) again();
      return;
    case "vetoed":
      if (status === "doubtful") return;
      if (transition.now >= phase.retryAt) again();
      return;
  }
}

/**
 * True if a host can take over now. If none could before, and the primary was silent too, this gateway itself may have
 * been cut off, and the first host that it sees again may be any: the primary must then have failed once more since
 * that host came back.
 */
function hasCandidate(transition: Transition): boolean {
  const best = ranking(transition, undefined).eligible[0];
  if (best === undefined) return false;
  const { primary, hosts } = transition.state;
  const lost = primary === undefined ? undefined : hosts.get(primary.host)?.health;
  if (lost?.kind !== "down" || lost.cause !== "timeout") return true;
  const candidate = hosts.get(best.host)?.health;
  return lost.successes === 0 && candidate?.kind === "up" && lost.failedAt >= candidate.since;
}

/**
 * After candidates failed, there is a pause before they are asked again; a first candidate that appears is asked at
 * once.
 */
const mayRetry = (transition: Transition, phase: Phase & { kind: "down" }): boolean =>
  phase.failover.attempts === 0 || transition.now >= phase.retryAt;
