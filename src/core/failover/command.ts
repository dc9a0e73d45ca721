/** Operators' orders. A command is refused with a reason and what to do, or answered once it has finished. */
import type { Command, Failover, OrderTerms, Primary, ServiceState } from "./state.ts";
import { newFailover } from "./promote.ts";
import { type Ranking, rejectionsInWords } from "./candidate.ts";
import { promoteBest, ranking } from "./order.ts";
import { primaryStatus } from "./primary-status.ts";
import { vaultInWords } from "./vault.ts";
import { abortFailover, become, nextKey, recordEvent, put, type Transition } from "./transition.ts";

export function onCommand(transition: Transition, id: string, command: Command): void {
  switch (command.kind) {
    case "pause":
      put(transition, { automation: { kind: "paused", terms: command.terms ?? withoutTerms } });
      if (command.isSilent !== true)
        recordEvent(transition, "info", "pause", undefined, withWords(pauseInWords, command.terms?.words ?? ""));
      return done(transition, id);
    case "resume":
      put(transition, { automation: { kind: "on" } });
      if (command.isSilent !== true) recordEvent(transition, "info", "resume", undefined, resumeInWords);
      return done(transition, id);
    case "switchover":
      return switchover(transition, id, command.target);
    case "rewind":
      return rewind(transition, id, command);
    case "failover":
      return failover(transition, id, command.target, command.force);
  }
}

const pauseInWords = "no failover happens by itself from now on; requests go to the primary as before";
export const resumeInWords = "a lost primary is replaced again";
const withoutTerms: OrderTerms = { reason: undefined, untilMs: undefined, words: "" };
const withWords = (text: string, words: string): string => (words === "" ? text : `${text} (${words})`);

function switchover(transition: Transition, id: string, target: string | undefined): void {
  const { state } = transition;
  const primary = state.primary;
  if (state.phase.kind !== "serving" || primary === undefined) {
    return refuse(
      transition,
      id,
      `there is no primary that serves: the service is ${state.phase.kind}`,
      "see `stead status`; a lost primary needs `stead failover`",
    );
  }
  if (target === primary.host)
    return refuse(transition, id, `${target} is already primary`, "name another host, or none");
  if (![...state.hosts.keys()].some((host) => host !== primary.host))
    return refuse(
      transition,
      id,
      `${primary.host} is the only host of this service`,
      "start a second one, and add it: `stead hosts add HOST URL`",
    );
  const why = whyNotTarget(transition, target, false);
  if (why !== undefined) return refuse(transition, id, why, adviceOn(target));
  const best = target ?? ranking(transition, undefined).eligible[0]?.host;
  moveAway(transition, primary, { kind: "switchover", command: id, successor: best, rewind: undefined });
}

/** With a single host, the one that steps down takes over again. */
function rewind(
  transition: Transition,
  id: string,
  { id: rewind, epoch }: Command & { readonly kind: "rewind" },
): void {
  const { phase, primary } = transition.state;
  if (phase.kind !== "serving" || primary?.epoch !== epoch) {
    const found = `there is no primary of epoch ${epoch} that serves: the service is ${phase.kind}`;
    return refuse(transition, id, found, "see `stead status`, and try again; nothing was undone");
  }
  const best = ranking(transition, undefined).eligible[0]?.host;
  moveAway(transition, primary, { kind: "rewind", command: id, successor: best, rewind });
}

/** Orders the primary to step down. */
function moveAway(
  transition: Transition,
  primary: Primary,
  move: {
    readonly kind: "switchover" | "rewind";
    readonly command: string;
    readonly successor: string | undefined;
    readonly rewind: string | undefined;
  },
): void {
  const { kind, command, successor, rewind } = move;
  const planned = newFailover(transition, kind, { target: successor, planned: true, command });
  const call = nextKey(transition);
  become(transition, { kind: "demoting", failover: planned, call, since: transition.now, lostAt: undefined });
  transition.effects.push({ kind: "record-failover", failover: planned, outcome: "running" });
  const { host, epoch } = primary;
  transition.effects.push({ kind: "demote", call, host, successor, reason: kind, epoch, rewind });
}

function failover(transition: Transition, id: string, target: string | undefined, force: boolean): void {
  const { state, now } = transition;
  const { phase } = state;
  const isActing = phase.kind === "promoting" || phase.kind === "demoting";
  if (isActing && !force) {
    return refuse(
      transition,
      id,
      `a ${phase.failover.kind} failover is in progress`,
      "wait for its end: `stead status --watch`; --force overrides it",
    );
  }
  const status = primaryStatus(state, now);
  const lost = status === "down" || status === "stepped-down" || status === "none";
  if (!force && !lost) {
    return refuse(
      transition,
      id,
      `the primary ${state.primary?.host ?? ""} is ${status}`,
      "`stead switchover` moves a healthy primary; --force replaces it anyway",
    );
  }
  if (phase.kind === "promoting" && target === phase.candidate)
    return refuse(
      transition,
      id,
      `${target} is being promoted already`,
      "name another host, or wait: `stead status --watch`",
    );
  const why = whyNotTarget(transition, target, force);
  if (why !== undefined) return refuse(transition, id, why, adviceOn(target));
  if (isActing) return overtake(transition, id, target, phase);
  const change = { target, planned: force, force, command: id };
  const base: Failover =
    phase.kind === "agreeing" || phase.kind === "down" ? phase.failover : newFailover(transition, "forced");
  promoteBest(transition, { ...base, kind: force ? "forced" : base.kind, ...change });
}

/**
 * An operator does not wait for an operation in progress: its order is cancelled, and the log decides between the two
 * (R1).
 */
function overtake(
  transition: Transition,
  id: string,
  target: string | undefined,
  phase: ServiceState["phase"] & { kind: "promoting" | "demoting" },
): void {
  const { failover, call } = phase;
  transition.effects.push({ kind: "cancel", call });
  abortFailover(transition, failover, "overtaken", "an operator forced another failover", "see `stead status`");
  const tried = new Map(failover.tried);
  if (phase.kind === "promoting") {
    tried.set(phase.candidate, "an operator overrode it");
    recordEvent(
      transition,
      "warning",
      "failover-overtaken",
      phase.candidate,
      "an operator forced a failover while it was being promoted",
    );
  }
  promoteBest(
    transition,
    newFailover(transition, "forced", {
      target,
      planned: true,
      force: true,
      command: id,
      tried: target === undefined ? tried : new Map(),
    }),
  );
}

/** Returns why the named host, or without a name every host, cannot take over; undefined if one can. */
function whyNotTarget(transition: Transition, target: string | undefined, force: boolean): string | undefined {
  const ranked = ranking(transition, { tried: new Map(), target, force });
  if (target === undefined) {
    if (ranked.eligible.length > 0) return undefined;
    const why = rejectionsInWords(others(ranked.rejected, transition.state, force));
    return why === "" ? "no host is registered" : `no host can take over: ${why}`;
  }
  if (ranked.eligible.some(({ host }) => host === target)) return undefined;
  const rejected = ranked.rejected.find(({ host }) => host === target);
  return rejected === undefined ? `the host "${target}" is not registered` : `${target}: ${rejected.why}`;
}

/** Without the primary that serves: that it is primary is no reason why the others cannot take over. */
function others(rejected: Ranking["rejected"], { phase, primary }: ServiceState, force: boolean): Ranking["rejected"] {
  return phase.kind === "serving" && !force ? rejected.filter(({ host }) => host !== primary?.host) : rejected;
}

const adviceOn = (target: string | undefined): string =>
  target === undefined
    ? "start a host (`stead hosts add HOST URL` if it is new), or mend what is named"
    : "see `stead failover --dry-run` for the hosts that could take over";

function done(transition: Transition, id: string): void {
  const primary = transition.state.primary;
  transition.effects.push({
    kind: "reply",
    id,
    outcome: { kind: "done", primary: primary?.host, epoch: primary?.epoch ?? 0, failover: undefined },
  });
}

function refuse(transition: Transition, id: string, why: string, advice: string): void {
  transition.effects.push({ kind: "reply", id, outcome: { kind: "refused", code: "conflict", why, advice } });
}

/** What would happen if the primary were lost now, and why each other host would not be chosen. Changes nothing. */
export interface DryRun {
  readonly phase: string;
  readonly primary: string | undefined;
  readonly epoch: number;
  readonly wouldPromote: string | undefined;
  /** Best first. */
  readonly order: readonly string[];
  /** Reservations against hosts that would still be asked if no better one is available. */
  readonly but: readonly { readonly host: string; readonly why: string }[];
  readonly whyNot: readonly { readonly host: string; readonly why: string }[];
  /** What prevents acting at all; empty: nothing. */
  readonly obstacles: readonly string[];
}

export function dryRun(state: ServiceState, now: number): DryRun {
  const ranked = ranking({ state, now }, undefined);
  const obstacles: string[] = [];
  if (state.automation.kind === "paused")
    obstacles.push(
      `${withWords("automation is paused", state.automation.terms.words)}: nothing happens by itself until ${state.automation.terms.untilMs === undefined ? "" : "then, or "}\`stead resume\`; \`stead failover\` acts`,
    );
  const whyNot = others(ranked.rejected, state, false);
  if (ranked.eligible.length === 0 && whyNot.length === 0)
    obstacles.push("there is no second host: start one, and add it with `stead hosts add HOST URL`");
  const brake =
    state.phase.kind === "down" && state.phase.because.kind === "braked" ? state.phase.because.why : undefined;
  if (brake !== undefined) obstacles.push(brake);
  const vault = vaultInWords(state.vault, now);
  if (vault !== undefined) obstacles.push(vault);
  const needed = Math.floor(state.gateways.length / 2) + 1;
  if (needed > 1)
    obstacles.push(
      `a lost primary is replaced once ${needed} of ${state.gateways.length} gateways see it down, or the next one finds no sign of it in the vault`,
    );
  return {
    phase: state.phase.kind,
    primary: state.primary?.host,
    epoch: state.primary?.epoch ?? 0,
    wouldPromote: ranked.eligible[0]?.host,
    order: ranked.eligible.map(({ host }) => host),
    but: ranked.eligible.flatMap(({ host, standing, but }) =>
      but === undefined ? [] : [{ host, why: `${standing}: ${but}` }],
    ),
    whyNot,
    obstacles,
  };
}
