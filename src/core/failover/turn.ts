/**
 * One turn of the state machine: the state being rewritten and the requested effects, in order. Local to `step`; from
 * outside the step is a pure function.
 *
 * Only `become` changes the phase, and it refuses transitions that the diagram in state.ts does not have.
 */
import { causeOfLoss, remember } from "./brake.ts";
import { type EpochSource, judgeEpoch } from "./proof.ts";
import { relationToPrimary } from "./relation.ts";
import type {
  EventLevel,
  Failover,
  FailoverEffect,
  FailoverOutcome,
  HostView,
  Phase,
  Primary,
  ServiceState,
} from "./state.ts";
import type { Rules } from "../rules.ts";

export interface Turn {
  state: ServiceState;
  readonly effects: FailoverEffect[];
  readonly now: number;
  readonly rules: Rules;
}

/** Which phase may follow which; one turn can take several of these steps. */
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

export function become(turn: Turn, phase: Phase): void {
  const from = turn.state.phase.kind;
  if (!legalPhases[from].includes(phase.kind)) throw new IllegalPhase(from, phase.kind);
  turn.state = { ...turn.state, phase };
}

export class IllegalPhase extends Error {
  override readonly name = "IllegalPhase";
  constructor(from: Phase["kind"], to: Phase["kind"]) {
    super(`a service that is ${from} cannot become ${to}`);
  }
}

export function put(turn: Turn, change: Partial<ServiceState>): void {
  turn.state = { ...turn.state, ...change };
}

export function putHostView(turn: Turn, view: HostView): void {
  put(turn, { hosts: new Map(turn.state.hosts).set(view.id, view) });
}

export function nextKey(turn: Turn): number {
  const key = turn.state.lastKey + 1;
  put(turn, { lastKey: key });
  return key;
}

export function recordEvent(
  turn: Turn,
  level: EventLevel,
  what: string,
  host: string | undefined,
  detail: string,
): void {
  turn.effects.push({ kind: "record-event", level, what, host, detail });
}

/** Adds to a phase's duration: a phase can occur several times in one failover. */
export function spent(failover: Failover, phase: keyof Failover["phases"], ms: number): Failover {
  return { ...failover, phases: { ...failover.phases, [phase]: (failover.phases[phase] ?? 0) + Math.max(0, ms) } };
}

/** Ends the failover without a new primary of its own making. */
export function abortFailover(
  turn: Turn,
  failover: Failover,
  outcome: FailoverOutcome,
  why: string,
  advice: string,
): void {
  if (failover.attempts > 0 || failover.kind === "switchover") {
    turn.effects.push({ kind: "record-failover", failover, outcome });
  }
  if (failover.command !== undefined) {
    const code = outcome === "overtaken" ? "overtaken" : "conflict";
    turn.effects.push({ kind: "reply", id: failover.command, outcome: { kind: "refused", code, why, advice } });
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
export function adopt(turn: Turn, ownership: Ownership, source: EpochSource): boolean {
  const { host, epoch } = ownership;
  const known = turn.state.primary;
  if (known !== undefined && epoch < known.epoch) return true;
  if (known !== undefined && epoch === known.epoch && (host === known.host || !isOutweighed(known, source))) {
    adoptSame(turn, known, ownership, source);
    return true;
  }
  const isServing = relationToPrimary(turn.state, turn.now) === "serving";
  const judgement = turn.rules.has("epoch-proof")
    ? judgeEpoch(turn.state, ownership, source, turn.now, isServing)
    : ({ kind: "counts", unproven: undefined } as const);
  if (judgement.kind === "refused") {
    if (judgement.why !== undefined) recordRefusal(turn, host, judgement.why);
    return false;
  }
  replacePrimary(turn, ownership, judgement.unproven);
  return true;
}

/** What a host says outweighs hearsay, and what is remembered, of the same epoch. */
const isOutweighed = ({ unproven }: Primary, source: EpochSource): boolean =>
  unproven !== undefined && unproven.kind !== "leap" && source.kind === "host";

function adoptSame(
  turn: Turn,
  known: Primary,
  { host, epoch, instance, dataUrl }: Ownership,
  source: EpochSource,
): void {
  if (host !== known.host) {
    recordEvent(
      turn,
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
  if (same.unproven === undefined && (isProved || same.dataUrl !== known.dataUrl)) record(turn, same);
  put(turn, { primary: same });
}

function replacePrimary(
  turn: Turn,
  { host, epoch, instance, dataUrl }: Ownership,
  unproven: Primary["unproven"],
): void {
  const known = turn.state.primary;
  const url =
    dataUrl ?? turn.state.hosts.get(host)?.report?.dataUrl ?? (known?.host === host ? known.dataUrl : undefined);
  if (known !== undefined) rememberLoss(turn, known);
  const primary: Primary = { host, epoch, instance, adoptedAt: turn.now, dataUrl: url, unproven };
  put(turn, { primary });
  if (unproven === undefined) record(turn, primary);
  if (known !== undefined && known.host !== host) {
    turn.effects.push({ kind: "drop", host: known.host, reason: `host ${host} is primary since epoch ${epoch}` });
  }
  // What was seen of it is older than its claim (relation.ts).
  if (turn.state.hosts.get(host)?.health.kind === "down") turn.effects.push({ kind: "probe", host });
}

/** Only a proved epoch is stored, and thus replicated. */
const record = (turn: Turn, { host, epoch, dataUrl }: Primary): void =>
  void turn.effects.push({ kind: "record-epoch", host, epoch, dataUrl });

/** The known epoch is false: a host that reads the log says so, or has claimed below it. */
export function disprove(turn: Turn, truth: Ownership, why: string): void {
  const { primary, heard, disproved } = turn.state;
  if (primary === undefined) return;
  recordEvent(
    turn,
    "error",
    "epoch-disproved",
    primary.host,
    `epoch ${primary.epoch} of ${primary.host} is in no log: ${why}; a host or gateway has said it that does not belong here, or uses another vault`,
  );
  put(turn, {
    disproved: Math.min(primary.epoch, disproved ?? Infinity),
    heard: heard !== undefined && heard.epoch > truth.epoch ? undefined : heard,
  });
  replacePrimary(turn, truth, undefined);
}

/** At most once a minute: reports repeat. */
const refusedEventMs = 60_000;

function recordRefusal(turn: Turn, host: string, why: string): void {
  if (turn.now - turn.state.refusedAt < refusedEventMs) return;
  put(turn, { refusedAt: turn.now });
  const advice = "check that all hosts use one vault, and who answers at their addresses";
  recordEvent(turn, "error", "epoch-refused", host, `${why}: it does not count; ${advice}`);
}

/**
 * Records for the brake what ended the previous primary, and how long it was in place, whichever gateway replaced it.
 * Only a primary that was seen serving counts: restoring hosts read past claims one after the other, and a gateway that
 * has just started hears all of them (simulation, seed 16966).
 */
function rememberLoss(turn: Turn, known: Primary): void {
  const { state, now } = turn;
  if (known.instance === undefined) return;
  const cause = causeOfLoss(state, now);
  if (cause === undefined) return;
  const lostAt = "failover" in state.phase ? state.phase.failover.decidedAt : now;
  put(turn, { losses: remember(state.losses, { cause, at: now, tenureMs: Math.max(0, lostAt - known.adoptedAt) }) });
}
