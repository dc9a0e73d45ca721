/**
 * What a gateway knows about one service, and what it is doing. failover.ts has the decisions.
 *
 *              ┌───────────────────────── primary seen well ─────────────────────────┐
 *   unknown ─► awaiting ─► serving ◄─► suspect ─► agreeing ─► promoting ─► serving    │
 *                 ▲          │                      ▲  │  └────► down ────────────────┘
 *                 │          └─► demoting ──────────┼──┴─► promoting
 *                 └── another host took the epoch ──┘
 *
 * Views (hosts, peers, the owner of the highest epoch) are facts; the phase is the operation in progress; `routed` is
 * where traffic goes. The three are separate on purpose: losing sight of the primary changes a view, not the route
 * (static stability).
 */
import type { EventName } from "../event-name.ts";
import type { PeerView } from "./agreement.ts";
import type { Brake, Cause, FailoverKind, Loss } from "./loss.ts";
import type { FailureCause, HostHealth } from "./health.ts";
import type { PositionTrail } from "./position-trail.ts";
import type { OrderBase } from "../host/witness.ts";
import type { Refusal } from "../refusal.ts";
import type { FailoverSettings } from "./settings.ts";

/** The part of a host's status that decisions need (src/control/host-status.ts has the whole). */
export interface HostReport {
  readonly service: string;
  readonly host: string;
  readonly instance: string;
  readonly role: "restoring" | "secondary" | "claiming" | "starting" | "primary" | "draining" | "failed";
  readonly reason: string | undefined;
  readonly epoch: number;
  readonly epochHost: string | undefined;
  readonly position: number;
  readonly dataUrl: string;
  readonly priority: number;
  readonly nofailover: boolean;
  readonly leaseMs: number;
  /** Time since its last successful operation on the vault; undefined: it does none now. */
  readonly vaultSilentMs: number | undefined;
  /** Its monotonic clock at this report; undefined: unknown. */
  readonly clockMs: number | undefined;
  /** Its impairments, while its process is healthy. */
  readonly impairments: readonly {
    readonly kind: "disk" | "vault" | "descriptors" | "application";
    readonly reason: string;
    readonly forMs: number;
  }[];
  /** It could not stay primary, for a transient reason: milliseconds until it may try again. */
  readonly retry: { readonly reason: string; readonly inMs: number; readonly attempts: number } | undefined;
  /** undefined: unknown. */
  readonly vault:
    | {
        readonly id: string | undefined;
        readonly wroteMs: number | undefined;
        readonly writeError: string | undefined;
        readonly latencyMs: number | undefined;
      }
    | undefined;
  /** undefined: unknown. */
  readonly application:
    | {
        readonly state: "stopped" | "starting" | "ready" | "failing" | "stuck" | "restarting";
        readonly restarts: number;
      }
    | undefined;
  /** It stepped down in favour of `to`, this long before the report. */
  readonly handover: { readonly to: string; readonly forMs: number } | undefined;
}

export interface RegisteredHost {
  readonly id: string;
  readonly controlUrl: string;
  /** Undefined: the host's own value applies. */
  readonly priority: number | undefined;
  readonly nofailover: boolean | undefined;
}

export interface HostView extends RegisteredHost {
  readonly health: HostHealth;
  readonly report: HostReport | undefined;
  /** When `report` arrived; -Infinity if there is none. */
  readonly reportAt: number;
  /** Its trail in the log; undefined: never heard. */
  readonly trail: PositionTrail | undefined;
  /** Since when every report, none late, said that its vault can be written; undefined: the last one did not. */
  readonly vaultSince: number | undefined;
}

/** What this gateway or another heard about the log from the primary itself. */
export interface LogHeard {
  readonly epoch: number;
  /** Last position that the primary of that epoch was heard to have written. */
  readonly position: number;
  /** Identity of its vault; undefined: unknown. */
  readonly vault: string | undefined;
}

/** Why no host that reads the log has proved an epoch; `by` is the only host that says it (proof.ts). */
export type Unproven = { readonly kind: "hearsay" | "memory" } | { readonly kind: "leap"; readonly by: string };

/** The owner of the highest epoch that any source has reported. */
export interface Primary {
  readonly host: string;
  readonly epoch: number;
  /** The run of the host that itself reported owning this epoch; undefined while only others reported it. */
  readonly instance: string | undefined;
  readonly adoptedAt: number;
  /** Its address for traffic, as last heard or remembered; undefined: unknown. */
  readonly dataUrl: string | undefined;
  /** Why no host has proved this epoch yet; undefined: one has (proof.ts). */
  readonly unproven: Unproven | undefined;
}

/** Milliseconds of each phase that happened. `wait`: no candidate, or paused. `retry`: failed attempts. */
export type PhaseName =
  | "detect"
  | "agree"
  | "claim"
  | "lease"
  | "catchUp"
  | "start"
  | "route"
  | "wait"
  | "retry"
  | "demote";
export type PhaseDurations = Readonly<Partial<Record<PhaseName, number>>>;

/** A phase on the failover's time axis: `startMs` after the decision; negative before it. */
export interface PhaseSpan {
  readonly phase: PhaseName;
  readonly startMs: number;
  readonly ms: number;
}

/** One failover or switchover from decision to end; `key` is unique within this run of the gateway. */
export interface Failover {
  readonly key: number;
  readonly kind: FailoverKind;
  readonly from: string | undefined;
  readonly epochFrom: number;
  /** Preferred new primary; undefined: the best one. */
  readonly target: string | undefined;
  /** True: no evidence is needed that the primary is down: an operator, or the gateway itself, moves it away. */
  readonly planned: boolean;
  /** An operator forces it: what the gateways heard of the log does not bind the named host. */
  readonly force: boolean;
  /** What ended the primary, if it could recur; undefined: otherwise. */
  readonly cause: Cause | undefined;
  /** Undefined: no pause. */
  readonly brake: Brake | undefined;
  /** The operator's command that waits for the end of this. */
  readonly command: string | undefined;
  readonly decidedAt: number;
  readonly to: string | undefined;
  readonly epochTo: number | undefined;
  readonly attempts: number;
  readonly phases: PhaseDurations;
  /** The same phases in the order in which they ended (timeline.ts). */
  readonly timeline: readonly PhaseSpan[];
  /** Candidates that failed, and why. */
  readonly tried: ReadonlyMap<string, string>;
  /** What was already recorded as an event, so that repeated attempts are reported once. */
  readonly told: ReadonlySet<string>;
}

/** The candidate's present step: the one that ends next. */
export type PromotionStep = "claim" | "catch-up" | "start" | "lease" | "ready";

export interface Progress {
  readonly step: PromotionStep;
  /** Last sign of progress. */
  readonly at: number;
  readonly position: number;
  readonly application: string;
}

export type Phase =
  | { readonly kind: "unknown" }
  /** The epoch's owner is becoming primary by another gateway's order, or has yet to report. */
  | { readonly kind: "awaiting"; readonly since: number }
  | { readonly kind: "serving" }
  | { readonly kind: "suspect"; readonly since: number; readonly cause: string }
  | { readonly kind: "agreeing"; readonly failover: Failover; readonly since: number; readonly until: number }
  | {
      readonly kind: "promoting";
      readonly failover: Failover;
      readonly candidate: string;
      readonly call: number;
      readonly since: number;
      /** When the answer was lost in transit; the candidate's status then shows the outcome. */
      readonly lostAt: number | undefined;
      readonly progress: Progress;
    }
  | {
      readonly kind: "demoting";
      readonly failover: Failover;
      readonly call: number;
      readonly since: number;
      readonly lostAt: number | undefined;
    }
  /** The primary is down and nothing can be done now. */
  | {
      readonly kind: "down";
      readonly failover: Failover;
      readonly since: number;
      readonly because: DownReason;
      readonly retryAt: number;
    };

export type DownReason =
  | { readonly kind: "no-candidate"; readonly why: string }
  | { readonly kind: "paused" }
  /** The same cause would also end the next primary: it waits until `retryAt`. */
  | { readonly kind: "braked"; readonly why: string }
  /** A candidate's witness or the other gateways say that the primary is alive. */
  | { readonly kind: "vetoed"; readonly evidence: string };

export type Routed =
  | { readonly kind: "host"; readonly host: string; readonly epoch: number; readonly dataUrl: string }
  | { readonly kind: "hold"; readonly reason: string };

/** What an operator said of an order; src/gateway/service/timed-orders.ts ends it: no step knows the wall time. */
export interface OrderTerms {
  readonly reason: string | undefined;
  /** Wall time; undefined: until it is resumed. */
  readonly untilMs: number | undefined;
  /** Both for people; empty: neither was given. */
  readonly words: string;
}

export type Automation = { readonly kind: "on" } | { readonly kind: "paused"; readonly terms: OrderTerms };

/**
 * After this time without an answer to an order (its connection may have died silently) the candidate's next report
 * decides: it has not begun, or has finished. A candidate that gets the order later refuses it (`basedOn`).
 */
export const orderUnheardMs = 3_000;

/** The vault as the hosts see it. */
export type VaultCondition =
  | { readonly kind: "well" }
  /** Since `since` its puts have taken leases instead of milliseconds. `isTold`: long enough to be reported. */
  | { readonly kind: "slow"; readonly since: number; readonly isTold: boolean }
  /** No host has reached it since `since`. */
  | { readonly kind: "away"; readonly since: number };

export interface ServiceState {
  readonly settings: FailoverSettings;
  readonly hosts: ReadonlyMap<string, HostView>;
  readonly primary: Primary | undefined;
  /** The lowest epoch that was believed and then disproved; hearsay of it, or of a higher one, does not count. */
  readonly disproved: number | undefined;
  /** When a refused epoch was last recorded as an event. */
  readonly refusedAt: number;
  readonly phase: Phase;
  readonly routed: Routed;
  readonly automation: Automation;
  /** undefined: no primary was heard. */
  readonly heard: LogHeard | undefined;
  readonly vault: VaultCondition;
  /** Ends of primaries, newest last: for the brake. */
  readonly losses: readonly Loss[];
  /** Why an impaired primary stays; undefined: it is not impaired, or is being moved. */
  readonly stays: string | undefined;
  /** Before this time no primary is moved away because of an impairment: the last try failed. */
  readonly relieveAfter: number;
  readonly gateways: readonly string[];
  readonly peers: ReadonlyMap<string, PeerView>;
  /** Numbers calls and failovers. */
  readonly lastKey: number;
  /** When the first host was heard; undefined before. */
  readonly firstHeardAt: number | undefined;
  /** Finished, waiting for the duration of routing. */
  readonly finished: { readonly failover: Failover; readonly at: number } | undefined;
}

export type Command =
  | { readonly kind: "switchover"; readonly target: string | undefined }
  /** The primary of this epoch steps down with the rewind of this id, which it has prepared. */
  | { readonly kind: "rewind"; readonly id: string; readonly epoch: number }
  | { readonly kind: "failover"; readonly target: string | undefined; readonly force: boolean }
  /** `isSilent`: no event: this process starts or is replaced, or another gateway got the order, and records it. */
  | { readonly kind: "pause"; readonly terms?: OrderTerms; readonly isSilent?: boolean }
  | { readonly kind: "resume"; readonly isSilent?: boolean };

export type FailoverEvent =
  /** The whole registry: missing hosts are removed. */
  | { readonly kind: "hosts"; readonly hosts: readonly RegisteredHost[] }
  /** A row of the database, at start. */
  | { readonly kind: "recall"; readonly host: string; readonly epoch: number; readonly dataUrl: string | undefined }
  /** A good sign. `startedAt`: when the probe was sent; undefined for a line of the stream. */
  | {
      readonly kind: "report";
      readonly host: string;
      readonly report: HostReport;
      readonly startedAt: number | undefined;
    }
  | { readonly kind: "probe-failed"; readonly host: string; readonly cause: FailureCause; readonly startedAt: number }
  | { readonly kind: "stream-ended"; readonly host: string }
  /** The data plane could not reach the host. */
  | { readonly kind: "data-error"; readonly host: string; readonly cause: string }
  /** The configuration was reloaded. */
  | { readonly kind: "settings"; readonly settings: FailoverSettings }
  | { readonly kind: "gateways"; readonly ids: readonly string[] }
  | {
      readonly kind: "peer-view";
      readonly view: PeerView;
      readonly primary: string | undefined;
      readonly heard?: LogHeard | undefined;
    }
  | { readonly kind: "phase-ended"; readonly call: number; readonly phase: string; readonly ms: number }
  | { readonly kind: "promoted"; readonly call: number; readonly epoch: number; readonly dataUrl: string }
  | { readonly kind: "demoted"; readonly call: number }
  | { readonly kind: "call-refused"; readonly call: number; readonly refusal: Refusal }
  /** The call ended without an answer. */
  | { readonly kind: "call-lost"; readonly call: number; readonly why: string }
  /** The route of the last `route` effect is in place. */
  | { readonly kind: "routed"; readonly epoch: number }
  | { readonly kind: "command"; readonly id: string; readonly command: Command }
  | { readonly kind: "time" };

export type CommandOutcome =
  | {
      readonly kind: "done";
      readonly primary: string | undefined;
      readonly epoch: number;
      readonly failover: Failover | undefined;
    }
  | { readonly kind: "refused"; readonly code: CommandRefusalCode; readonly why: string; readonly advice: string };

export type CommandRefusalCode =
  /** Not possible in the current state. */
  | "conflict"
  /** Another failover came first: there is a new primary, or there will be one. */
  | "overtaken"
  /** The answer came before the end: the command may still succeed. */
  | "unfinished";

export type FailoverEffect =
  /** Probe at once, whatever the interval. */
  | { readonly kind: "probe"; readonly host: string }
  | {
      readonly kind: "promote";
      readonly call: number;
      readonly host: string;
      readonly epoch: number;
      readonly planned: boolean;
      /** 0 and undefined: unknown, or an operator continues without it. */
      readonly positionHeard: number;
      readonly vault: string | undefined;
      readonly gatewaysRegistered: number;
      readonly gatewaysSeeingDown: readonly string[];
      /** The candidate's status on which the order rests; undefined: it has no clock. */
      readonly basedOn: OrderBase | undefined;
    }
  | {
      readonly kind: "demote";
      readonly call: number;
      readonly host: string;
      readonly successor: string | undefined;
      readonly reason: string;
      readonly epoch: number;
      readonly rewind?: string | undefined;
    }
  /** Stop waiting for a call's answer. */
  | { readonly kind: "cancel"; readonly call: number }
  /** Send traffic there from now on, held requests first. */
  | { readonly kind: "route"; readonly host: string; readonly epoch: number; readonly dataUrl: string }
  /** New requests wait; those in flight continue. */
  | { readonly kind: "hold"; readonly reason: string }
  /** Close every upstream connection to a host that is no longer primary. */
  | { readonly kind: "drop"; readonly host: string; readonly reason: string }
  | {
      readonly kind: "record-epoch";
      readonly host: string;
      readonly epoch: number;
      readonly dataUrl: string | undefined;
    }
  | { readonly kind: "record-failover"; readonly failover: Failover; readonly outcome: FailoverOutcome }
  | {
      readonly kind: "record-event";
      readonly level: EventLevel;
      readonly what: EventName;
      readonly host: string | undefined;
      readonly detail: string;
    }
  | { readonly kind: "reply"; readonly id: string; readonly outcome: CommandOutcome };

/** `error`: an operator is needed, or soon will be. */
export type EventLevel = "info" | "warning" | "error";

export type FailoverOutcome = "running" | "done" | "recovered" | "overtaken" | "refused";

export interface FailoverStep {
  readonly state: ServiceState;
  readonly effects: readonly FailoverEffect[];
}

/** Returns the state of a service about which nothing is known yet. */
export function initialServiceState(settings: FailoverSettings): ServiceState {
  return {
    settings,
    hosts: new Map(),
    primary: undefined,
    disproved: undefined,
    refusedAt: -Infinity,
    phase: { kind: "unknown" },
    routed: { kind: "hold", reason: "no primary is known yet" },
    automation: { kind: "on" },
    heard: undefined,
    vault: { kind: "well" },
    losses: [],
    stays: undefined,
    relieveAfter: -Infinity,
    gateways: [settings.gateway],
    peers: new Map(),
    lastKey: 0,
    firstHeardAt: undefined,
    finished: undefined,
  };
}
