/**
 * One step of the state machine: the state being rewritten and the requested effects, in order. Local to `step`; from
 * outside the step is a pure function.
 *
 * Only `become` changes the phase, and it refuses transitions that the diagram in state.ts does not have.
 */
import type { EventName } from "../event-name.ts";
import { causeOfLoss, remember } from "./brake.ts";
import { type EpochSource, judgeEpoch } from "./proof.ts";
import { primaryStatus } from "./primary-status.ts";
import { addSpan } from "./timeline.ts";
import type {
  EventLevel,
  Failover,
  FailoverEffect,
  FailoverOutcome,
  HostView,
  Phase,
  PhaseName,
  Primary,
  ServiceState,
} from "./state.ts";
import type { Rules } from "../rules.ts";

export interface Transition {
  state: ServiceState;
  readonly effects: FailoverEffect[];
  readonly now: number;
  readonly rules: Rules;
}

/** Which phase may follow which; one step can take several of these. */
export const legalPhases: { readonly [From in Phase["kind"]]: readonly Phase["kind"][] } = {
  unknown: ["awaiting", "serving", "suspect", "agreeing", "promoting"],
  awaiting: ["serving", "suspect", "agreeing", "promoting"],
  serving: ["suspect", "awaiting", "agreeing", "demoting", "promoting"],
  suspect: ["serving", "awaiting", "agreeing", "promoting"],
  agreeing: ["serving", "awaiting", "promoting", "down"],
  promoting: ["promoting", "serving", "awaiting", "suspect", "down"],
  demoting: ["promoting", "serving", "suspect", "awaiting", "down"],
  down: ["serving", "suspect", "awaiting", "agreeing", "promoting"],
};

export function become(transition: Transition, phase: Phase): void {
  const from = transition.state.phase.kind;
  if (!legalPhases[from].includes(phase.kind)) throw new IllegalPhase(from, phase.kind);
  transition.state = { ...transition.state, phase };
}

export class IllegalPhase extends Error {
  override readonly name = "IllegalPhase";
  constructor(from: Phase["kind"], to: Phase["kind"]) {
    super(`a service that is ${from} cannot become ${to}`);
  }
}

export function put(transition: Transition, change: Partial<ServiceState>): void {
  transition.state = { ...transition.state, ...change };
}

export function putHostView(transition: Transition, view: HostView): void {
  put(transition, { hosts: new Map(transition.state.hosts).set(view.id, view) });
}

export function nextKey(transition: Transition): number {
  const key = transition.state.lastKey + 1;
  put(transition, { lastKey: key });
  return key;
}

export function recordEvent(
  transition: Transition,
  level: EventLevel,
  what: EventName,
  host: string | undefined,
  detail: string,
): void {
  transition.effects.push({ kind: "record-event", level, what, host, detail });
}

/**
 * A phase that lasted `ms` has ended at `now`. A phase can occur several times in one failover: its durations add up,
 * and each has its place on the time axis.
 */
export function spent(failover: Failover, phase: PhaseName, ms: number, now: number): Failover {
  const lasted = Math.max(0, ms);
  return {
    ...failover,
    phases: { ...failover.phases, [phase]: (failover.phases[phase] ?? 0) + lasted },
    timeline: addSpan(failover.timeline, { phase, startMs: now - lasted - failover.decidedAt, ms: lasted }),
  };
}

/** Ends the failover without a new primary of its own making. */
export function abortFailover(
  transition: Transition,
  failover: Failover,
  outcome: FailoverOutcome,
  why: string,
  advice: string,
): void {
  if (failover.attempts > 0 || failover.kind === "switchover" || failover.kind === "rewind") {
    transition.effects.push({ kind: "record-failover", failover, outcome });
  }
  if (failover.command !== undefined) {
    const code = outcome === "overtaken" ? "overtaken" : "conflict";
    transition.effects.push({ kind: "reply", id: failover.command, outcome: { kind: "refused", code, why, advice } });
  }
}

/** That `host` owns `epoch`, as one source reports it: not every source knows the run and the address. */
export interface Ownership {
  readonly host: string;
  readonly epoch: number;
  readonly instance?: string | undefined;
  readonly dataUrl?: string | undefined;
}

/**
 * Records that a host or a peer reports `host` as owner of `epoch`. Epochs only rise (R1: each claim takes the next),
 * so the highest that counts (proof.ts) is true. The previous owner is no longer primary: its connections are closed at
 * once. Returns false if it does not count.
 */
export function adopt(transition: Transition, ownership: Ownership, source: EpochSource): boolean {
  const { host, epoch } = ownership;
  const known = transition.state.primary;
  if (known !== undefined && epoch < known.epoch) return true;
  if (known !== undefined && epoch === known.epoch && (host === known.host || !isOutweighed(known, source))) {
    adoptSame(transition, known, ownership, source);
    return true;
  }
  const isServing = primaryStatus(transition.state, transition.now) === "serving";
  const judgement = transition.rules.has("epoch-proof")
    ? judgeEpoch(transition.state, ownership, source, transition.now, isServing)
    : ({ kind: "counts", unproven: undefined } as const);
  if (judgement.kind === "refused") {
    if (judgement.why !== undefined) recordRefusal(transition, host, judgement.why);
    return false;
  }
  replacePrimary(transition, ownership, judgement.unproven);
  return true;
}

/** What a host says outweighs hearsay, and what is remembered, of the same epoch. */
const isOutweighed = ({ unproven }: Primary, source: EpochSource): boolean =>
  unproven !== undefined && unproven.kind !== "leap" && source.kind === "host";

function adoptSame(
  transition: Transition,
  known: Primary,
  { host, epoch, instance, dataUrl }: Ownership,
  source: EpochSource,
): void {
  if (host !== known.host) {
    recordEvent(
      transition,
      "warning",
      "epoch-contradiction",
      host,
      `epoch ${epoch} is said to be of ${host} and of ${known.host}: do all hosts use one vault?`,
    );
    return;
  }
  const isProved = isOutweighed(known, source);
  const same: Primary = {
    ...known,
    instance: instance ?? known.instance,
    dataUrl: dataUrl ?? known.dataUrl,
    unproven: isProved ? undefined : known.unproven,
  };
  if (same.unproven === undefined && (isProved || same.dataUrl !== known.dataUrl)) record(transition, same);
  put(transition, { primary: same });
}

function replacePrimary(
  transition: Transition,
  { host, epoch, instance, dataUrl }: Ownership,
  unproven: Primary["unproven"],
): void {
  const known = transition.state.primary;
  const url =
    dataUrl ?? transition.state.hosts.get(host)?.report?.dataUrl ?? (known?.host === host ? known.dataUrl : undefined);
  if (known !== undefined) rememberLoss(transition, known);
  const primary: Primary = { host, epoch, instance, adoptedAt: transition.now, dataUrl: url, unproven };
  put(transition, { primary });
  if (unproven === undefined) record(transition, primary);
  if (known !== undefined && known.host !== host) {
    transition.effects.push({ kind: "drop", host: known.host, reason: `host ${host} is primary since epoch ${epoch}` });
  }
  // What was seen of it is older than its claim (primary-status.ts).
  if (transition.state.hosts.get(host)?.health.kind === "down") transition.effects.push({ kind: "probe", host });
}

/** Only a proved epoch is stored, and thus replicated. */
const record = (transition: Transition, { host, epoch, dataUrl }: Primary): void =>
  void transition.effects.push({ kind: "record-epoch", host, epoch, dataUrl });

/** The known epoch is false: a host that reads the log says so, or has claimed below it. */
export function disprove(transition: Transition, truth: Ownership, why: string): void {
  const { primary, heard, disproved } = transition.state;
  if (primary === undefined) return;
  recordEvent(
    transition,
    "error",
    "epoch-disproved",
    primary.host,
    `epoch ${primary.epoch} of ${primary.host} is in no log: ${why}; a host or gateway has said it that does not belong here, or uses another vault`,
  );
  put(transition, {
    disproved: Math.min(primary.epoch, disproved ?? Infinity),
    heard: heard !== undefined && heard.epoch > truth.epoch ? undefined : heard,
  });
  replacePrimary(transition, truth, undefined);
}

/** At most once a minute: reports repeat. */
const refusedEventMs = 60_000;

function recordRefusal(transition: Transition, host: string, why: string): void {
  if (transition.now - transition.state.refusedAt < refusedEventMs) return;
  put(transition, { refusedAt: transition.now });
  const advice = "check that all hosts use one vault, and who answers at their addresses";
  recordEvent(transition, "error", "epoch-refused", host, `${why}: it does not count; ${advice}`);
}

/**
 * Records for the brake what ended the previous primary, and how long it was in place, whichever gateway replaced it.
 * Only a primary that was seen serving counts: restoring hosts read past claims one after the other, and a gateway that
 * has just started hears all of them (simulation, seed 16966).
 */
function rememberLoss(transition: Transition, known: Primary): void {
  const { state, now } = transition;
  if (known.instance === undefined) return;
  const cause = causeOfLoss(state, now);
  if (cause === undefined) return;
  const lostAt = "failover" in state.phase ? state.phase.failover.decidedAt : now;
  put(transition, {
    losses: remember(state.losses, { cause, at: now, tenureMs: Math.max(0, lostAt - known.adoptedAt) }),
  });
}
