/** Ordering: which candidate is asked, with which evidence, and what happens if it does not become primary. */
import type { EventName } from "../event-name.ts";
import { agree, type Agreement, seeingDown } from "./agreement.ts";
import { lagMsMax, rankCandidates, type Ranking, rejectionsInWords } from "./candidate.ts";
import { brakeInWords } from "./brake.ts";
import { begunAt, stepInWords } from "./budget.ts";
import {
  type DownReason,
  type EventLevel,
  type Failover,
  orderUnheardMs,
  type Phase,
  type ServiceState,
} from "./state.ts";
import { become, nextKey, recordEvent, spent, type Transition } from "./transition.ts";
import { positionBefore } from "./position-trail.ts";
import type { OrderBase } from "../host/witness.ts";

function evidenceQuestion(transition: Transition, failover: Failover) {
  const { settings, gateways, peers } = transition.state;
  return {
    self: settings.gateway,
    registered: gateways,
    peers: peers.values(),
    epoch: failover.epochFrom,
    now: transition.now,
    freshMs: settings.viewFreshMs,
  };
}

/** `decidedAt`: when this gateway decided. */
export function agreementOf(transition: Transition, failover: Failover, decidedAt: number): Agreement {
  const { agreeWaitMs, staggerMs } = transition.state.settings;
  return agree({ ...evidenceQuestion(transition, failover), decidedAt, agreeWaitMs, staggerMs }, transition.rules);
}

/** No gateway watches a primary that is not in the registry, so none can say that it is down: the witness decides. */
function evidence(transition: Transition, failover: Failover): readonly string[] {
  if (failover.from !== undefined && !transition.state.hosts.has(failover.from)) return [];
  return transition.rules.has("majority")
    ? seeingDown(evidenceQuestion(transition, failover))
    : transition.state.gateways;
}

export function ranking(
  { state, now }: Pick<Transition, "state" | "now">,
  failover: Pick<Failover, "tried" | "target" | "force"> | undefined,
): Ranking {
  return rankCandidates({
    service: state.settings.service,
    hosts: state.hosts.values(),
    tried: failover?.tried ?? new Map<string, string>(),
    target: failover?.target,
    force: failover?.force ?? false,
    positionDue: positionDue(state, now),
    vault: state.heard?.vault,
    now,
    staleMs: state.settings.staleMs,
  });
}

/**
 * Returns the position that every follower of the log has read by now, from the primary and from hosts that have read
 * its epoch.
 */
function positionDue({ hosts, primary, heard }: ServiceState, now: number): number {
  let due = 0;
  for (const { report, trail } of hosts.values()) {
    if (report === undefined || report.epoch !== (primary?.epoch ?? 0)) continue;
    const isForeign =
      heard !== undefined &&
      heard.vault !== undefined &&
      report.vault !== undefined &&
      report.vault.id !== undefined &&
      report.vault.id !== heard.vault;
    if (!isForeign) due = Math.max(due, positionBefore(trail, now - lagMsMax));
  }
  return due;
}

/** Orders the best candidate to take over, or stands down if there is none. */
export function promoteBest(transition: Transition, failover: Failover): void {
  const ranked = ranking(transition, failover);
  const best = ranked.eligible[0];
  if (best === undefined) {
    const why = rejectionsInWords(ranked.rejected) || "no host is registered";
    return standDown(transition, failover, { kind: "no-candidate", why });
  }
  const { state, now } = transition;
  const call = nextKey(transition);
  const attempt: Failover = { ...failover, to: best.host, attempts: failover.attempts + 1 };
  const progress = begunAt(now, state.hosts.get(best.host)?.report);
  become(transition, {
    kind: "promoting",
    failover: attempt,
    candidate: best.host,
    call,
    since: now,
    lostAt: undefined,
    progress,
  });
  transition.effects.push({ kind: "record-failover", failover: attempt, outcome: "running" });
  const heard = failover.force && failover.target === best.host ? undefined : state.heard;
  transition.effects.push({
    kind: "promote",
    call,
    host: best.host,
    epoch: failover.epochFrom,
    planned: failover.planned,
    positionHeard: heard?.position ?? 0,
    vault: heard?.vault,
    gatewaysRegistered: transition.state.gateways.length,
    gatewaysSeeingDown: evidence(transition, failover),
    basedOn: basisOf(transition, best.host),
  });
}

/**
 * Returns the candidate's last status and how long after it the order is valid: `orderUnheardMs` from now on, by its
 * own clock.
 */
function basisOf({ state, now }: Transition, host: string): OrderBase | undefined {
  const view = state.hosts.get(host);
  if (view === undefined || view.report === undefined || view.report.clockMs === undefined) return undefined;
  const { instance, clockMs } = view.report;
  return { instance, clockMs, validMs: now - view.reportAt + orderUnheardMs };
}

/**
 * Nothing can be done now. The route to the last known primary stays (static stability), and the failover is retried
 * later.
 */
export function standDown(
  transition: Transition,
  failover: Failover,
  because: DownReason,
  retryAt = transition.now + transition.state.settings.retryMs,
): void {
  const why = whyDown(because);
  const told = recordOnce(
    transition,
    failover,
    because.kind === "braked" ? "error" : "warning",
    `failover-${because.kind}`,
    failover.from,
    downInFull(because),
  );
  // With a single host, the one that stepped down takes over again once it has restored.
  const isAwaited = failover.kind === "rewind" && because.kind === "no-candidate";
  if (failover.command !== undefined && !isAwaited) {
    const advice =
      because.kind === "vetoed"
        ? "the primary is alive; use --force to replace it anyway"
        : "see `stead failover --dry-run`";
    transition.effects.push({
      kind: "reply",
      id: failover.command,
      outcome: {
        ...{ kind: "refused", code: "conflict", advice },
        why: because.kind === "no-candidate" ? `no host can take over: ${why}` : why,
      },
    });
  }
  // A gateway that had its primary step down completes the move later, also during a pause.
  const waiting: Failover = {
    ...failover,
    command: isAwaited ? failover.command : undefined,
    planned: isOwnMove(failover),
    force: false,
    tried: new Map(),
    told,
  };
  become(transition, { kind: "down", failover: waiting, since: transition.now, because, retryAt });
}

/** Why, what it means for requests, and what to do. */
export const downInFull = (because: DownReason): string => `${whyDown(because)}${consequenceOf(because)}`;

function consequenceOf(because: DownReason): string {
  switch (because.kind) {
    case "no-candidate":
      return `: ${waitInWords}; start a host, or mend what is named, and it is tried again by itself`;
    case "paused":
      return `: ${waitInWords}; \`stead failover\` replaces the primary now, \`stead resume\` too`;
    case "braked":
    case "vetoed":
      return "";
  }
}

const waitInWords = "requests wait, and get an error when gateway.hold.time is over";

function whyDown(because: DownReason): string {
  switch (because.kind) {
    case "no-candidate":
    case "braked":
      return because.why;
    case "vetoed":
      return because.evidence;
    case "paused":
      return "automation is paused";
  }
}

/** True if a gateway had its primary step down, and has to find a successor. */
export const isOwnMove = ({ kind }: Failover): boolean =>
  kind === "switchover" || kind === "rewind" || kind === "impaired";

/** Returns true if the same cause would end the next primary too, and the pause is not over. */
export function waitsForBrake(transition: Transition, failover: Failover): boolean {
  const { brake } = failover;
  if (brake === undefined || failover.planned || transition.now >= brake.until) return false;
  const waitS = Math.ceil((brake.until - transition.now) / 100) / 10;
  const why = `${brakeInWords(brake, failover.epochFrom)}; the next takeover waits ${waitS} s for that: fix the cause, or run \`stead failover\``;
  standDown(transition, failover, { kind: "braked", why }, brake.until);
  return true;
}

/** The candidate did not become primary: tries the next one. */
export function tryNext(
  transition: Transition,
  failover: Failover,
  since: number,
  candidate: string,
  why: string,
  level: EventLevel = "warning",
): void {
  const told = recordOnce(
    transition,
    failover,
    level,
    level === "error" ? "other-log" : "promotion-failed",
    candidate,
    why,
  );
  const tried = new Map(failover.tried).set(candidate, why);
  promoteBest(transition, spent({ ...failover, tried, told }, "retry", transition.now - since, transition.now));
}

/**
 * Replaces a candidate without progress: cancels its order and asks the next one. A candidate that has claimed is
 * alive, so a witness would consider it healthy: a planned order follows it. If no other host could take over, the
 * gateway keeps waiting for it.
 */
export function replaceCandidate(transition: Transition, phase: Phase & { kind: "promoting" }): void {
  const { failover, candidate, call, progress } = phase;
  const { state, now } = transition;
  const why = `it did not ${stepInWords(progress.step)} within ${Math.round((now - progress.at) / 100) / 10} s`;
  const told = recordOnce(transition, failover, "error", "promotion-stuck", candidate, why);
  const tried = new Map(failover.tried).set(candidate, why);
  const hasClaimed = state.primary?.host === candidate && state.primary.epoch > failover.epochFrom;
  const next: Failover = {
    ...failover,
    told,
    tried,
    ...(hasClaimed ? { from: candidate, epochFrom: state.primary.epoch, planned: true } : {}),
  };
  if (hasClaimed && ranking(transition, next).eligible.length === 0) {
    transition.state = {
      ...state,
      phase: { ...phase, failover: { ...failover, told }, progress: { ...progress, at: now } },
    };
    return;
  }
  transition.effects.push({ kind: "cancel", call });
  promoteBest(transition, spent(next, "retry", now - phase.since, now));
}

/** Records a kind of failure once per host and failover: a candidate refusing every second would flood the events. */
export function recordOnce(
  transition: Transition,
  failover: Failover,
  level: EventLevel,
  what: EventName,
  host: string | undefined,
  detail: string,
): ReadonlySet<string> {
  const key = `${what} ${host ?? ""}`;
  if (failover.told.has(key)) return failover.told;
  recordEvent(transition, level, what, host, detail);
  return new Set(failover.told).add(key);
}
