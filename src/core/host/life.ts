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
 * or cannot be captured gives the service up and follows again; `put-off` sets when it may be asked again
 * (retry-schedule.ts). The same holds for a primary that had to stop at once, and for a host whose stage failed. It
 * never promotes itself: gateways see the time of its next try and rank it last. `failed` is for causes that time does
 * not remove: databases that `databases` leaves out, and a second process with the same id.
 *
 * Pure: the driver (src/host/host.ts) performs the effects in order and reports back with events. An event that has no
 * meaning in a state is a programming error and throws, except the few that can race and are named in `isStale`.
 *
 * The order matters in three places. Fenced: `shut-gate` comes before everything else, so that no byte is released
 * after the host knows (R2). Claimed: the gate is opened only by `serve`, which needs both the lease (R5) and the
 * application. Given up: the restore begins when the term has ended, because both are one effect.
 */
import type { Rules } from "../rules.ts";

export type HostState =
  | { readonly kind: "restoring"; readonly reason: string }
  | { readonly kind: "secondary" }
  | { readonly kind: "claiming" }
  | { readonly kind: "starting"; readonly epoch: number }
  | { readonly kind: "primary"; readonly epoch: number }
  | {
      readonly kind: "draining";
      readonly epoch: number;
      readonly successor: string | undefined;
      readonly reason: string;
    }
  | { readonly kind: "failed"; readonly reason: string };

export type HostEvent =
  /** The local databases equal the journal at the end of the log. */
  | { readonly kind: "restored" }
  /** The restore continues; why it has not succeeded yet. */
  | { readonly kind: "restore-delayed"; readonly reason: string }
  /** Following cannot continue from here: retention passed it, a record is damaged, the local files do not match. */
  | { readonly kind: "cannot-follow"; readonly reason: string }
  /** A promotion was ordered, and the witness consented (core/host/witness.ts). */
  | { readonly kind: "promote" }
  | { readonly kind: "claimed"; readonly epoch: number }
  /** Another host's `epoch` record was first. */
  | { readonly kind: "claim-lost"; readonly host: string }
  /** The vault did not take the claim in time. */
  | { readonly kind: "claim-unwritten" }
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
  /** Drained, application ended, everything journaled, `vacate` written. */
  | { readonly kind: "vacated" }
  /** An operator requested a fresh start from the vault. */
  | { readonly kind: "restore" }
  /** The present stage ended with an unexpected error: a transient disk error, or a defect. */
  | { readonly kind: "stage-failed"; readonly reason: string }
  /** A cause that needs an operator. */
  | { readonly kind: "broken"; readonly reason: string };

export type HostEffect =
  /** Releases no byte from now on, ends connections, kills the application's group. Synchronous. */
  | { readonly kind: "shut-gate" }
  /**
   * Sets aside what diverged, loads the newest checkpoint, reads the log to its end; reports `restored`. `paced`: not
   * before the time of the next try, so that an immediate failure does not loop.
   */
  | { readonly kind: "restore"; readonly paced: boolean }
  /** Keep applying new records. */
  | { readonly kind: "follow" }
  | { readonly kind: "claim" }
  /** Start renewing, the application, and the wait for the old lease; reports `may-serve`. */
  | { readonly kind: "take-over" }
  | { readonly kind: "serve" }
  /** Refuse new requests, finish those in flight, stop the application, journal the rest, vacate; reports `vacated`. */
  | { readonly kind: "drain" }
  /** This host could not stay primary: counts it, and sets the time of its next try. */
  | { readonly kind: "put-off"; readonly reason: string }
  /** Stops serving at once, journals what is committed, vacates; restores once the term has ended. */
  | { readonly kind: "give-up"; readonly reason: string };

export interface HostStep {
  readonly state: HostState;
  readonly effects: readonly HostEffect[];
}

export const initialHostState: HostState = { kind: "restoring", reason: "starting" };

/** Performs one step of a host's life. Throws `IllegalHostTransition` for what can only be a defect of the caller. */
export function stepHost(state: HostState, event: HostEvent, rules: Rules): HostStep {
  if (event.kind === "broken") return failed(event.reason);
  if (event.kind === "stage-failed") return state.kind === "failed" ? stay(state, event) : brokenDown(event.reason);
  if (event.kind === "application-failed" && (state.kind === "starting" || state.kind === "primary")) {
    return rules.has("retry") ? givenUp(event.reason) : failed(event.reason);
  }
  switch (state.kind) {
    case "restoring":
      return stepRestoring(state, event);
    case "secondary":
      return stepSecondary(state, event);
    case "claiming":
      return stepClaiming(state, event);
    case "starting":
      return stepStarting(state, event);
    case "primary":
      return stepPrimary(state, event);
    case "draining":
      return stepDraining(state, event);
    case "failed":
      return event.kind === "restore" ? restoring("restore requested", false) : stay(state, event);
  }
}

function stepRestoring(state: HostState, event: HostEvent): HostStep {
  switch (event.kind) {
    case "restored":
      return { state: { kind: "secondary" }, effects: [{ kind: "follow" }] };
    case "cannot-follow":
      return restoring(event.reason, false);
    case "restore-delayed":
      return { state: { kind: "restoring", reason: event.reason }, effects: [] };
    case "restore":
      return { state, effects: [] };
    default:
      return stay(state, event);
  }
}

function stepSecondary(state: HostState, event: HostEvent): HostStep {
  switch (event.kind) {
    case "promote":
      return { state: { kind: "claiming" }, effects: [{ kind: "claim" }] };
    case "cannot-follow":
      return restoring(event.reason, false);
    case "restore":
      return restoring("restore requested", false);
    default:
      return stay(state, event);
  }
}

function stepClaiming(state: HostState, event: HostEvent): HostStep {
  switch (event.kind) {
    case "claimed":
      return { state: { kind: "starting", epoch: event.epoch }, effects: [{ kind: "take-over" }] };
    case "claim-lost":
    case "claim-unwritten":
      return { state: { kind: "secondary" }, effects: [{ kind: "follow" }] };
    case "claim-void":
      return restoring("the claim was put where retention had deleted the log (R4)", false);
    case "cannot-follow":
      return restoring(event.reason, false);
    default:
      return stay(state, event);
  }
}

function stepStarting(state: HostState & { kind: "starting" }, event: HostEvent): HostStep {
  switch (event.kind) {
    case "may-serve":
      return { state: { kind: "primary", epoch: state.epoch }, effects: [{ kind: "serve" }] };
    case "fenced":
      return restoring(fencedReason(event), true);
    case "must-stop":
      return couldNotStay(event.reason);
    case "demote":
      return draining(state.epoch, event);
    default:
      return stay(state, event);
  }
}

function stepPrimary(state: HostState & { kind: "primary" }, event: HostEvent): HostStep {
  switch (event.kind) {
    case "fenced":
      return restoring(fencedReason(event), true);
    case "must-stop":
      return couldNotStay(event.reason);
    case "demote":
      return draining(state.epoch, event);
    default:
      return stay(state, event);
  }
}

function stepDraining(state: HostState, event: HostEvent): HostStep {
  switch (event.kind) {
    case "vacated":
      return restoring("stepped down", true);
    case "fenced":
      return restoring(fencedReason(event), true);
    case "must-stop":
      return restoring(event.reason, true);
    case "application-failed":
      // It is being stopped anyway; draining continues to journal what is committed.
      return { state, effects: [] };
    default:
      return stay(state, event);
  }
}

function draining(epoch: number, event: HostEvent & { kind: "demote" }): HostStep {
  return {
    state: { kind: "draining", epoch, successor: event.successor, reason: event.reason },
    effects: [{ kind: "drain" }],
  };
}

const failed = (reason: string): HostStep => ({ state: { kind: "failed", reason }, effects: [{ kind: "shut-gate" }] });

function givenUp(reason: string): HostStep {
  return {
    state: { kind: "restoring", reason },
    effects: [
      { kind: "put-off", reason },
      { kind: "give-up", reason },
    ],
  };
}

function couldNotStay(reason: string): HostStep {
  return {
    state: { kind: "restoring", reason },
    effects: [{ kind: "shut-gate" }, { kind: "put-off", reason }, { kind: "restore", paced: false }],
  };
}

function brokenDown(reason: string): HostStep {
  return {
    state: { kind: "restoring", reason },
    effects: [{ kind: "shut-gate" }, { kind: "put-off", reason }, { kind: "restore", paced: true }],
  };
}

function restoring(reason: string, wasPrimary: boolean): HostStep {
  const restore: HostEffect = { kind: "restore", paced: false };
  return { state: { kind: "restoring", reason }, effects: wasPrimary ? [{ kind: "shut-gate" }, restore] : [restore] };
}

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
    case "claim-lost":
    case "claim-unwritten":
    case "claim-void":
    case "stage-failed":
      return state.kind === "failed";
    default:
      return false;
  }
}

function stay(state: HostState, event: HostEvent): HostStep {
  if (isStale(state, event)) return { state, effects: [] };
  throw new IllegalHostTransition(state, event);
}

export class IllegalHostTransition extends Error {
  override readonly name = "IllegalHostTransition";
  constructor(state: HostState, event: HostEvent) {
    super(`a host that is ${state.kind} cannot take the event ${event.kind}`);
  }
}
