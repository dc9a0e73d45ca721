/**
 * A host's life: its states, the events that move it, and the effects on the way.
 *
 *   restoring ──► secondary ──► claiming ──► starting ──► primary ──► draining ──► restoring
 *       ▲             │             │            │            │
 *       └─────────────┴──(fenced, left behind, claim lost, void, asked to, the application cannot run here)
 *
 *   any ──(needs an operator)──► failed ──(restore requested)──► restoring
 *
 * A transient cause never lasts for good. A primary whose application ended too often, did not start, got stuck again,
 * or cannot be captured gives the service up and follows again; its retry schedule says when it may be asked again
 * (retry-schedule.ts). The same holds for a primary that had to stop at once, and for a host whose stage failed. It
 * never promotes itself, except once when it has bootstrapped the vault: gateways see the time of its next try and rank
 * it last. `failed` is for causes that time does not remove: databases that `databases` leaves out, and a second
 * process with the same id.
 *
 * Pure; times are this host's monotonic milliseconds. One driver (src/host/driver.ts) performs the effects of a step in
 * order, and their results come back as events; nothing else changes a `HostLife`. An event that has no meaning in a
 * state is a programming error and throws, except the few that can race and are named in `isStale`.
 *
 * The order matters in three places. Fenced: `shut-gate` comes before everything else, so that no byte is released
 * after the host knows (R2). Claimed: the gate is opened only by `serve`, which needs both the lease (R5) and the
 * application. Given up: the restore begins when the term has ended, because both are one effect.
 */
import type { Refusal } from "../refusal.ts";
import type { Rules } from "../rules.ts";
import { afterService, type RetrySchedule, scheduleRetry } from "./retry-schedule.ts";

export type HostState =
  | { readonly kind: "restoring"; readonly reason: string }
  | { readonly kind: "secondary" }
  | { readonly kind: "claiming" }
  | { readonly kind: "starting"; readonly epoch: number }
  | { readonly kind: "primary"; readonly epoch: number; readonly servesSince: number }
  | {
      readonly kind: "draining";
      readonly epoch: number;
      readonly successor: string | undefined;
      readonly reason: string;
    }
  | { readonly kind: "failed"; readonly reason: string };

export interface HostLife {
  readonly state: HostState;
  /** This host could not stay primary, and has not been well as one since. */
  readonly retry: RetrySchedule | undefined;
}

export type HostEvent =
  /**
   * The local databases equal the journal at the end of the log. `bootstrapped`: this host has just written the first
   * checkpoint of the vault.
   */
  | { readonly kind: "restored"; readonly bootstrapped: boolean }
  /** The restore continues; why it has not succeeded yet. `isFailure`: an error, and not work that takes its time. */
  | { readonly kind: "restore-delayed"; readonly reason: string; readonly isFailure: boolean }
  /** Following cannot continue from here: retention passed it, a record is damaged, the local files do not match. */
  | { readonly kind: "cannot-follow"; readonly reason: string }
  /** A rehearsal succeeded: what kept this host from staying primary is removed. */
  | { readonly kind: "rehearsed" }
  /**
   * A promotion was ordered, and the witness consented (core/host/witness.ts). `overEpoch`: the epoch that the order
   * was judged on; the claim replaces the primary of that epoch and of no later one.
   */
  | { readonly kind: "promote"; readonly overEpoch: number }
  | { readonly kind: "claimed"; readonly epoch: number }
  /** Another host's `epoch` record was first, the primary outran this host, or the vault did not take the claim. */
  | { readonly kind: "not-claimed"; readonly refusal: Refusal }
  /** R4: the claim is at a position that retention had deleted. */
  | { readonly kind: "claim-void" }
  /** The lease of the predecessor is over (R5) and the application is ready. */
  | { readonly kind: "may-serve" }
  /** The application did not start, ended more often than allowed, got stuck again, or cannot be captured. */
  | { readonly kind: "application-failed"; readonly reason: string }
  /** R2: another writer's record is at this primary's next position. */
  | { readonly kind: "fenced"; readonly host: string; readonly epoch: number }
  /** Continuity of capture is lost, or another condition under which acknowledging would be wrong. */
  | { readonly kind: "must-stop"; readonly reason: string }
  | { readonly kind: "demote"; readonly successor: string | undefined; readonly reason: string }
  /** Drained, application ended, everything journaled, `vacate` written at `position`. */
  | { readonly kind: "vacated"; readonly position: number }
  /** An operator requested a fresh start from the vault. */
  | { readonly kind: "restore" }
  /** The present stage ended with an unexpected error: a transient disk error, or a defect. */
  | { readonly kind: "stage-failed"; readonly reason: string }
  /** A cause that needs an operator. */
  | { readonly kind: "broken"; readonly reason: string };

export type HostEffect =
  /** Releases no byte from now on, ends connections, kills the application's group. Synchronous. */
  | { readonly kind: "shut-gate"; readonly reason: string }
  /** Refuses the current order to promote, if there is one. */
  | { readonly kind: "refuse"; readonly refusal: Refusal }
  /** Tells operators why this host could not stay. */
  | { readonly kind: "warn"; readonly reason: string }
  /** Tells operators why a restore has not succeeded yet. */
  | { readonly kind: "tell-delay"; readonly reason: string; readonly isFailure: boolean }
  /**
   * Sets aside what diverged, loads the newest checkpoint, reads the log to its end; reports `restored`. `notBefore`:
   * the time of the next try, so that an immediate failure does not loop. `vacatedAt`: the position of the `vacate`
   * that names a successor, to which this host yields first.
   */
  | { readonly kind: "restore"; readonly notBefore?: number | undefined; readonly vacatedAt?: number | undefined }
  /** Keeps applying new records. */
  | { readonly kind: "follow" }
  /** Aborts the current stage: a host that has failed does not claim, and starts nothing. */
  | { readonly kind: "halt"; readonly reason: string }
  /** Orders this host itself to become primary, since it has just bootstrapped the vault. */
  | { readonly kind: "promote-itself" }
  | { readonly kind: "claim"; readonly overEpoch: number }
  /**
   * Starts renewing, the application, and the wait for the old lease; reports `may-serve`. The host's role is durable
   * on its own disk before the application can commit (persist-before-send).
   */
  | { readonly kind: "take-over" }
  /** Opens the gate, and answers the order to promote. */
  | { readonly kind: "serve" }
  /**
   * Refuses new requests, finishes those in flight, stops the application, journals the rest, and only then vacates.
   * Reports `vacated`.
   */
  | { readonly kind: "drain"; readonly successor: string | undefined; readonly reason: string }
  /** Stops serving at once, journals what is committed, vacates; restores once the term has ended. */
  | { readonly kind: "give-up"; readonly reason: string }
  /** Ends a rehearsal: the databases are needed. */
  | { readonly kind: "cut-rehearsal"; readonly reason: string };

export interface HostStep {
  readonly life: HostLife;
  readonly effects: readonly HostEffect[];
}

/** The first step of every host. */
export const firstHostStep: HostStep = {
  life: { state: { kind: "restoring", reason: "starting" }, retry: undefined },
  effects: [{ kind: "restore" }],
};

/** Performs one step of a host's life. Throws `IllegalHostTransition` for what can only be a defect of the caller. */
export function stepHost(life: HostLife, event: HostEvent, now: number, rules: Rules): HostStep {
  const step = decide(life, event, now, rules);
  const { state } = step.life;
  if (life.state.kind !== "secondary" || state.kind === "secondary") return step;
  return { ...step, effects: [...step.effects, { kind: "cut-rehearsal", reason: `this host is ${state.kind}` }] };
}

function decide(life: HostLife, event: HostEvent, now: number, rules: Rules): HostStep {
  const { state } = life;
  if (event.kind === "broken") return failed(life, event.reason, now);
  if (event.kind === "stage-failed")
    return state.kind === "failed" ? stay(life, event) : brokenDown(life, event.reason, now);
  if (event.kind === "application-failed" && (state.kind === "starting" || state.kind === "primary")) {
    return rules.has("retry") ? givenUp(life, event.reason, now) : failed(life, event.reason, now);
  }
  switch (state.kind) {
    case "restoring":
      return stepRestoring(life, event);
    case "secondary":
      return stepSecondary(life, event);
    case "claiming":
      return stepClaiming(life, event);
    case "starting":
      return event.kind === "may-serve"
        ? to(life, { kind: "primary", epoch: state.epoch, servesSince: now }, { kind: "serve" })
        : stepTerm(life, state.epoch, event, now);
    case "primary":
      return stepTerm(life, state.epoch, event, now);
    case "draining":
      return stepDraining(life, state, event);
    case "failed":
      return event.kind === "restore" ? askedToRestore(life) : stay(life, event);
  }
}

function stepRestoring(life: HostLife, event: HostEvent): HostStep {
  switch (event.kind) {
    case "restored":
      return event.bootstrapped
        ? to(life, { kind: "secondary" }, { kind: "follow" }, { kind: "promote-itself" })
        : to(life, { kind: "secondary" }, { kind: "follow" });
    case "cannot-follow":
      return restoring(life, event.reason);
    case "restore-delayed":
      return delayed(life, event);
    case "restore":
      return { life: { ...life, retry: undefined }, effects: [] };
    default:
      return stay(life, event);
  }
}

function stepSecondary(life: HostLife, event: HostEvent): HostStep {
  switch (event.kind) {
    case "promote":
      return to(life, { kind: "claiming" }, { kind: "claim", overEpoch: event.overEpoch });
    case "rehearsed":
      return { life: { ...life, retry: undefined }, effects: [] };
    case "cannot-follow":
      return restoring(life, event.reason);
    case "restore":
      return askedToRestore(life);
    default:
      return stay(life, event);
  }
}

function stepClaiming(life: HostLife, event: HostEvent): HostStep {
  switch (event.kind) {
    case "claimed":
      return to(life, { kind: "starting", epoch: event.epoch }, { kind: "take-over" });
    case "not-claimed":
      return to(life, { kind: "secondary" }, { kind: "refuse", refusal: event.refusal }, { kind: "follow" });
    case "claim-void":
      return restoring(life, "the claim was put where retention had deleted the log (R4)");
    case "cannot-follow":
      return restoring(life, event.reason);
    default:
      return stay(life, event);
  }
}

/** Of a host that has claimed and is not stepping down: `starting`, `primary`. */
function stepTerm(life: HostLife, epoch: number, event: HostEvent, now: number): HostStep {
  switch (event.kind) {
    case "fenced":
      return termOver(afterTerm(life, now), fencedReason(event));
    case "must-stop":
      return couldNotStay(life, event.reason, now);
    case "demote": {
      const { successor, reason } = event;
      const state: HostState = { kind: "draining", epoch, successor, reason };
      return to(afterTerm(life, now), state, { kind: "drain", successor, reason });
    }
    default:
      return stay(life, event);
  }
}

function stepDraining(life: HostLife, { successor }: HostState & { kind: "draining" }, event: HostEvent): HostStep {
  switch (event.kind) {
    case "vacated":
      return termOver(life, "stepped down", successor === undefined ? undefined : event.position);
    case "fenced":
      return termOver(life, fencedReason(event));
    case "must-stop":
      return termOver(life, event.reason);
    case "application-failed":
      // It is being stopped anyway; draining continues to journal what is committed.
      return { life, effects: [] };
    default:
      return stay(life, event);
  }
}

const to = ({ retry }: HostLife, state: HostState, ...effects: HostEffect[]): HostStep => ({
  life: { state, retry },
  effects,
});

const refuse = (reason: string): HostEffect => ({ kind: "refuse", refusal: { kind: "not_ready", reason } });

/** For a host without a term. */
const restoring = (life: HostLife, reason: string): HostStep =>
  to(life, { kind: "restoring", reason }, refuse(reason), { kind: "restore" });

const askedToRestore = (life: HostLife): HostStep => restoring({ ...life, retry: undefined }, "restore requested");

const termOver = (life: HostLife, reason: string, vacatedAt?: number): HostStep =>
  to(life, { kind: "restoring", reason }, { kind: "shut-gate", reason }, refuse(reason), {
    kind: "restore",
    vacatedAt,
  });

function failed(life: HostLife, reason: string, now: number): HostStep {
  const { kind } = life.state;
  // Following continues: gateways that ask this host use what it reads of the log.
  const halt: HostEffect[] = kind === "claiming" || kind === "starting" ? [{ kind: "halt", reason }] : [];
  const shut: HostEffect = { kind: "shut-gate", reason };
  return to(afterTerm(life, now), { kind: "failed", reason }, shut, refuse(reason), ...halt);
}

function delayed(life: HostLife, { reason, isFailure }: HostEvent & { kind: "restore-delayed" }): HostStep {
  const { state } = life;
  if (state.kind === "restoring" && state.reason === reason) return { life, effects: [] };
  return to(life, { kind: "restoring", reason }, { kind: "tell-delay", reason, isFailure });
}

const givenUp = (life: HostLife, reason: string, now: number): HostStep =>
  to(putOff(life, reason, now), { kind: "restoring", reason }, { kind: "warn", reason }, refuse(reason), {
    kind: "give-up",
    reason,
  });

const couldNotStay = (life: HostLife, reason: string, now: number): HostStep =>
  to(
    putOff(life, reason, now),
    { kind: "restoring", reason },
    { kind: "shut-gate", reason },
    refuse(reason),
    { kind: "warn", reason },
    { kind: "restore" },
  );

function brokenDown(life: HostLife, reason: string, now: number): HostStep {
  const next = putOff(life, reason, now);
  return to(
    next,
    { kind: "restoring", reason },
    { kind: "shut-gate", reason },
    refuse(reason),
    { kind: "warn", reason },
    { kind: "restore", notBefore: next.retry?.nextAt },
  );
}

/** This host could not stay primary: counts it, and sets the time of its next try. */
const putOff = (life: HostLife, reason: string, now: number): HostLife => ({
  ...life,
  retry: scheduleRetry(life.retry, reason, servedMs(life, now), now),
});

/** A term ends without a fault of this host: one that was well for long enough clears the schedule. */
const afterTerm = (life: HostLife, now: number): HostLife => ({
  ...life,
  retry: afterService(life.retry, servedMs(life, now)),
});

const servedMs = ({ state }: HostLife, now: number): number => (state.kind === "primary" ? now - state.servesSince : 0);

const fencedReason = (event: HostEvent & { kind: "fenced" }): string =>
  `fenced: host ${event.host} claimed epoch ${event.epoch}`;

/** Events that can arrive late because two parts of the host noticed the same thing; they change nothing. */
function isStale(state: HostState, event: HostEvent): boolean {
  switch (event.kind) {
    case "fenced":
    case "must-stop":
    case "application-failed":
    case "may-serve":
    case "vacated":
      return (
        state.kind === "restoring" || state.kind === "failed" || state.kind === "secondary" || state.kind === "draining"
      );
    case "restored":
    case "restore-delayed":
    case "cannot-follow":
    case "claimed":
    case "not-claimed":
    case "claim-void":
    case "stage-failed":
      return state.kind === "failed";
    default:
      return false;
  }
}

function stay(life: HostLife, event: HostEvent): HostStep {
  if (isStale(life.state, event)) return { life, effects: [] };
  throw new IllegalHostTransition(life.state, event);
}

export class IllegalHostTransition extends Error {
  override readonly name = "IllegalHostTransition";
  constructor(state: HostState, event: HostEvent) {
    super(`a host that is ${state.kind} cannot take the event ${event.kind}`);
  }
}
