/**
 * Third part of a step: moves the phase until it follows from what is known.
 *
 * Level-triggered on purpose: what must happen depends on what is known, not on which event reported it. A lost,
 * repeated or reordered event therefore cannot leave the phase stuck.
 */
import { type Failover, orderUnheardMs, type Phase, type ServiceState } from "./state.ts";
import { actWhenAgreed, decide, recordPromotion, newFailover } from "./act.ts";
import { budgetMs, progressed } from "./budget.ts";
import { relieve } from "./impaired.ts";
import { replaceCandidate, isOwnMove, promoteBest, ranking, tryNext } from "./order.ts";
import { relationToPrimary, type Relation } from "./relation.ts";
import { abortFailover, become, recordEvent, put, spent, type Turn } from "./turn.ts";

/**
 * The answer to a promotion arrives with the report that says the same, or is lost. Its phases are worth this wait, but
 * no more of the clients' time.
 */
const answerAwaitedMs = 250;
/** More turns than this within one step would mean two phases that disagree without end. */
const turnsMax = 24;

export function reconcile(turn: Turn): void {
  for (let turns = 0; ; turns++) {
    if (turns === turnsMax)
      throw new Error(`the phases of service ${turn.state.settings.service} do not settle: ${turn.state.phase.kind}`);
    const before = turn.state.phase;
    reconcileOnce(turn, before);
    if (turn.state.phase === before) return;
  }
}

function reconcileOnce(turn: Turn, phase: Phase): void {
  const relation = relationToPrimary(turn.state, turn.now);
  switch (phase.kind) {
    case "unknown":
      if (relation === "none") return maybeElectFirst(turn);
      return trackPrimary(turn, relation);
    case "awaiting":
    case "serving":
    case "suspect":
      return trackPrimary(turn, relation);
    case "agreeing":
      if (recovered(turn, phase.failover, relation)) return;
      return actWhenAgreed(turn, phase.failover, phase.since);
    case "promoting":
      return reconcilePromoting(turn, phase);
    case "demoting":
      return reconcileDemoting(turn, phase, relation);
    case "down":
      return reconcileDown(turn, phase, relation);
  }
}

/** Not acting: the phase follows the observed primary. */
function trackPrimary(turn: Turn, relation: Relation): void {
  const phase = turn.state.phase;
  switch (relation) {
    case "none":
      return;
    case "serving":
      if (phase.kind !== "serving") return become(turn, { kind: "serving" });
      return relieve(turn);
    case "becoming":
      if (phase.kind !== "awaiting") return become(turn, { kind: "awaiting", since: turn.now });
      return replaceStuckOwner(turn, phase.since);
    case "leaving":
    case "handing-over":
      if (phase.kind !== "awaiting") become(turn, { kind: "awaiting", since: turn.now });
      return;
    case "doubtful":
      if (phase.kind !== "suspect") become(turn, { kind: "suspect", since: turn.now, cause: causeOfDoubt(turn) });
      return;
    case "unregistered":
    case "stepped-down":
    case "down":
      return decide(turn);
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
function replaceStuckOwner(turn: Turn, since: number): void {
  const { state, now } = turn;
  const owner = state.primary?.host;
  const stuckAt = ownerStuckAt(state, since);
  if (stuckAt === undefined || owner === undefined || now < stuckAt || state.automation.kind === "paused") return;
  const why = `it has the epoch and did not begin to serve within ${Math.round((now - since) / 1_000)} s`;
  const failover = newFailover(turn, "hang", { planned: true, tried: new Map([[owner, why]]) });
  if (ranking(turn, failover).eligible.length === 0) return;
  recordEvent(turn, "error", "promotion-stuck", owner, why);
  promoteBest(turn, failover);
}

function causeOfDoubt(turn: Turn): string {
  const primary = turn.state.primary;
  const health = primary === undefined ? undefined : turn.state.hosts.get(primary.host)?.health;
  return health?.kind === "up" && health.doubt !== undefined ? health.doubt : "it was not heard yet";
}

/** On an empty vault: waits until every registered host was heard, or long enough, then lets the best one begin. */
function maybeElectFirst(turn: Turn): void {
  const { state, now } = turn;
  if (state.firstHeardAt === undefined || state.automation.kind === "paused") return;
  const all = [...state.hosts.values()].every((view) => view.report !== undefined);
  if (!all && now < state.firstHeardAt + state.settings.electWaitMs) return;
  if (ranking(turn, undefined).eligible.length > 0) decide(turn);
}

/** True if the loss is over: the primary is healthy again, or another host is about to be primary. */
function recovered(turn: Turn, failover: Failover, relation: Relation): boolean {
  const overtaken = (): true => {
    abortFailover(turn, failover, "overtaken", "another host is already becoming primary", "see `stead status`");
    become(turn, { kind: "awaiting", since: turn.now });
    return true;
  };
  switch (relation) {
    case "serving":
      abortAsRecovered(turn, failover);
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

function abortAsRecovered(turn: Turn, failover: Failover): void {
  recordEvent(
    turn,
    "info",
    "primary-recovered",
    turn.state.primary?.host,
    "seen healthy again before another host was promoted",
  );
  abortFailover(turn, failover, "recovered", "the primary is healthy again", "see `stead status`");
  become(turn, { kind: "serving" });
}

function reconcilePromoting(turn: Turn, phase: Phase & { kind: "promoting" }): void {
  const { state } = turn;
  const { failover, candidate, call } = phase;
  const primary = state.primary;
  const moved = primary !== undefined && (primary.epoch > failover.epochFrom || primary.host !== failover.from);
  if (moved && primary.host !== candidate) {
    turn.effects.push({ kind: "cancel", call });
    abortFailover(
      turn,
      failover,
      "overtaken",
      `host ${primary.host} is primary since epoch ${primary.epoch}`,
      "see `stead status`",
    );
    return become(turn, { kind: "awaiting", since: turn.now });
  }
  const view = state.hosts.get(candidate);
  if (view === undefined || view.health.kind === "down") {
    const why = view?.health.kind === "down" ? `down: ${view.health.cause}` : "removed from the registry";
    turn.effects.push({ kind: "cancel", call });
    return tryNext(turn, failover, phase.since, candidate, why);
  }
  const { report } = view;
  const progress =
    report === undefined || view.reportAt <= phase.since
      ? phase.progress
      : progressed(phase.progress, report, moved, turn.now);
  if (progress !== phase.progress) return put(turn, { phase: { ...phase, progress } });
  // A lost answer would only have said that it serves, in an epoch after the one it was to follow.
  if (moved && report?.role === "primary" && turn.now >= progress.at + answerAwaitedMs)
    return recordPromotion(turn, failover, candidate, primary.epoch, report.dataUrl);
  if (turn.now >= progress.at + budgetMs(progress, report, state.settings)) return replaceCandidate(turn, phase);
  if (
    phase.lostAt === undefined &&
    view.reportAt >= phase.since + orderUnheardMs &&
    (view.report?.role === "primary" || view.report?.role === "secondary")
  ) {
    if (view.report.role === "secondary") turn.effects.push({ kind: "cancel", call });
    return put(turn, { phase: { ...phase, lostAt: turn.now } });
  }
  if (phase.lostAt === undefined || view.report === undefined || view.reportAt <= phase.lostAt) return;
  switch (view.report.role) {
    case "primary":
      if (moved) recordPromotion(turn, failover, candidate, primary.epoch, view.report.dataUrl);
      // It was ordered to follow itself, because of an old report that it had stepped down: it never did.
      else if (primary?.host === candidate) abortAsRecovered(turn, failover);
      return;
    case "claiming":
    case "starting":
      return;
    case "draining":
    case "secondary":
    case "restoring":
    case "failed":
      return tryNext(
        turn,
        failover,
        phase.since,
        candidate,
        `the answer was lost, and it says that it is ${view.report.role}`,
      );
  }
}

function reconcileDemoting(turn: Turn, phase: Phase & { kind: "demoting" }, relation: Relation): void {
  const { failover, call } = phase;
  const primary = turn.state.primary;
  if (primary === undefined || primary.epoch > failover.epochFrom) {
    turn.effects.push({ kind: "cancel", call });
    abortFailover(turn, failover, "overtaken", `host ${primary?.host ?? "none"} is primary now`, "see `stead status`");
    return become(turn, { kind: "awaiting", since: turn.now });
  }
  const reportAt = turn.state.hosts.get(primary.host)?.reportAt ?? -Infinity;
  const hasDecided = relation === "serving" || relation === "stepped-down" || relation === "handing-over";
  if (phase.lostAt === undefined && reportAt >= phase.since + orderUnheardMs && hasDecided) {
    turn.effects.push({ kind: "cancel", call });
    return put(turn, { phase: { ...phase, lostAt: turn.now } });
  }
  const heardSince =
    phase.lostAt !== undefined && (turn.state.hosts.get(primary.host)?.reportAt ?? -Infinity) > phase.lostAt;
  if (
    failover.kind === "impaired" &&
    turn.now >= phase.since + turn.state.settings.demoteMs &&
    relation !== "stepped-down" &&
    relation !== "handing-over"
  ) {
    recordEvent(
      turn,
      "warning",
      "demotion-stuck",
      primary.host,
      `it did not step down within ${turn.state.settings.demoteMs} ms: it is promoted over`,
    );
    turn.effects.push({ kind: "cancel", call });
    return promoteBest(turn, spent(failover, "demote", turn.now - phase.since));
  }
  switch (relation) {
    case "down":
    case "unregistered":
      turn.effects.push({ kind: "cancel", call });
      return promoteBest(turn, spent(failover, "demote", turn.now - phase.since));
    case "handing-over":
    case "stepped-down":
      if (phase.lostAt === undefined || !heardSince) return;
      return promoteBest(turn, spent(failover, "demote", turn.now - phase.since));
    case "serving":
      if (!heardSince) return;
      abortFailover(
        turn,
        failover,
        "refused",
        "the order to step down was lost, and the primary still serves",
        "try again",
      );
      return become(turn, { kind: "serving" });
    case "none":
    case "becoming":
    case "leaving":
    case "doubtful":
      return;
  }
}

function reconcileDown(turn: Turn, phase: Phase & { kind: "down" }, relation: Relation): void {
  if (recovered(turn, phase.failover, relation)) return;
  // A candidate that died, or gave up, after its claim has advanced the epoch: an order that names the old epoch would
  // always be refused (simulation, seed 508).
  const { primary } = turn.state;
  if (primary !== undefined && primary.epoch > phase.failover.epochFrom) {
    abortFailover(
      turn,
      phase.failover,
      "overtaken",
      `host ${primary.host} has taken epoch ${primary.epoch}`,
      "see `stead status`",
    );
    return become(turn, { kind: "awaiting", since: turn.now });
  }
  const waited = (): Failover => spent(phase.failover, "wait", turn.now - phase.since);
  const again = (): void => become(turn, { kind: "agreeing", failover: waited(), since: turn.now, until: turn.now });
  switch (phase.because.kind) {
    case "paused":
      if (turn.state.automation.kind === "on") again();
      return;
    case "no-candidate":
      if (
        (turn.state.automation.kind === "on" || phase.failover.planned) &&
        hasCandidate(turn) &&
        mayRetry(turn, phase)
      )
        again();
      return;
    case "braked":
      if (turn.state.automation.kind === "paused" || turn.now >= phase.retryAt) again();
      return;
    case "vetoed":
      if (relation === "doubtful") return;
      if (turn.now >= phase.retryAt) again();
      return;
  }
}

/**
 * True if a host can take over now. If none could before, and the primary was silent too, this gateway itself may have
 * been cut off, and the first host that it sees again may be any: the primary must then have failed once more since
 * that host came back.
 */
function hasCandidate(turn: Turn): boolean {
  const best = ranking(turn, undefined).eligible[0];
  if (best === undefined) return false;
  const { primary, hosts } = turn.state;
  const lost = primary === undefined ? undefined : hosts.get(primary.host)?.health;
  if (lost?.kind !== "down" || lost.cause !== "timeout") return true;
  const candidate = hosts.get(best.host)?.health;
  return lost.successes === 0 && candidate?.kind === "up" && lost.failedAt >= candidate.since;
}

/**
 * After candidates failed, there is a pause before they are asked again; a first candidate that appears is asked at
 * once.
 */
const mayRetry = (turn: Turn, phase: Phase & { kind: "down" }): boolean =>
  phase.failover.attempts === 0 || turn.now >= phase.retryAt;
