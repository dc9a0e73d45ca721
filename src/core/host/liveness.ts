/**
 * Whether the application is ready, failing, or stuck: decided from its checks and its progress meanwhile.
 *
 *   ready ⇄ failing ──► stuck        (stuck is the end: the application is killed, and a new run begins as ready)
 *
 * *Failing*: the last check did not succeed. *Stuck*: for the whole patience no check was answered at all and nothing
 * made progress: no byte between the application and its clients, no commit, no CPU time. Four arguments:
 *
 * - An answer of any status is progress. An application that says 503 is failing but alive; a restart would not bring
 *   back what it lacks (its LDAP server, its disk), and a restart for every 503 would turn each hiccup into an outage.
 * - CPU time counts only beyond a small share: a runtime's housekeeping (timers, garbage collection) continues in a
 *   deadlocked program. A runnable thread that waits for a processor counts as progress: on an overloaded machine an
 *   application may get less than that share.
 * - Time counts only while this host itself runs. Each look adds at most `lookCountedMsMax`, however long ago the last
 *   one was: while the machine was suspended, or everything on it stopped, nothing could make progress. Timeouts of
 *   checks are counted in the same time.
 * - A refused connection is certain where silence is not: no process listens. For that the patience is
 *   `refusedPatienceMsMax`, so that a service that reopens its port is not met in the middle of it. If no request is
 *   in flight, movement is not required either: a process that does not listen cannot answer, whatever it computes.
 *
 * How one would break it: an application that works for longer than the patience without any of these signs, with one
 * thread that waits for another server and checks that wait behind it. The default is therefore long, and longer
 * without a path, and "off" exists.
 *
 * Attacked in test/core/host/liveness.test.ts: "is stuck when nothing moved for the whole patience".
 */
import type { Rules } from "../rules.ts";

/** The result of an ordered check. */
export type CheckResult =
  | { readonly kind: "well" }
  /** Answered, but not successfully. */
  | { readonly kind: "unwell"; readonly detail: string }
  /** A connection was accepted or is pending, but there is no answer. */
  | { readonly kind: "silent"; readonly detail: string }
  /** Nothing listens. */
  | { readonly kind: "refused"; readonly detail: string }
  /**
   * The check could not be made, through no fault of the application: this host has no descriptor left. Means nothing.
   */
  | { readonly kind: "unmade"; readonly detail: string };

/** Signs of progress: counters that only grow within one run of the application. */
export interface Vitals {
  /** Changes with any traffic between the application and its clients. */
  readonly traffic: number;
  readonly commits: number;
  /** Of all its processes; undefined: unknown on this system, which counts as progress. */
  readonly cpuMs: number | undefined;
  /** One of its threads runs, or waits for a processor. */
  readonly isRunnable: boolean;
  /** Client requests that it has not answered. */
  readonly openRequests: number;
}

export interface LivenessSettings {
  readonly intervalMs: number;
  /** A check answered later has failed. */
  readonly timeoutMs: number;
  /** undefined: the application never counts as stuck. */
  readonly patienceMs: number | undefined;
}

/** Interval of the driver's looks. */
export const lookMs = 100;
/** Largest part of the time between two looks that counts. */
export const lookCountedMsMax = 2 * lookMs;
/** How long the port may refuse connections; the patience, if that is shorter. */
export const refusedPatienceMsMax = 3_000;
/** CPU time that is not progress: an absolute amount, and a share of the time. */
export const housekeepingCpu = { ms: 20, share: 0.01 } as const;

type Check = { readonly kind: "none"; readonly waitedMs: number } | { readonly kind: "asked"; readonly forMs: number };

/** Start of the period without progress, in counted time, and the counters at that moment. */
interface Quiet {
  readonly forMs: number;
  readonly from: Vitals;
}

/** The result of the last check. `unknown`: there was none, or it means nothing. */
type LastCheck =
  | { readonly kind: "unknown" }
  | { readonly kind: "answered" }
  | { readonly kind: "silent" }
  /** This check and all before it, for this much counted time. */
  | { readonly kind: "refused"; readonly forMs: number };

interface Watch {
  readonly lookedAt: number;
  readonly check: Check;
  readonly last: LastCheck;
  /** undefined: a check was answered, and none has been sent since. */
  readonly quiet: Quiet | undefined;
}

export type LivenessState =
  | { readonly kind: "ready"; readonly since: number; readonly watch: Watch }
  | { readonly kind: "failing"; readonly since: number; readonly detail: string; readonly watch: Watch }
  | { readonly kind: "stuck"; readonly since: number; readonly detail: string };

export type LivenessEvent =
  | { readonly kind: "checked"; readonly result: CheckResult }
  /** Every `lookMs`; with `vitals` if `wantsVitals` says so. */
  | { readonly kind: "looked"; readonly vitals: Vitals | undefined };

export type LivenessEffect =
  /** Check the application; reports `checked`. */
  | { readonly kind: "check" }
  /** The result of the check in progress is no longer needed. */
  | { readonly kind: "abandon-check" }
  | { readonly kind: "stuck"; readonly detail: string };

export interface LivenessStep {
  readonly state: LivenessState;
  readonly effects: readonly LivenessEffect[];
}

type Watched = Exclude<LivenessState, { kind: "stuck" }>;

/** Returns the state of an application that has just become ready. */
export const initialLiveness = (now: number): LivenessState => ({
  kind: "ready",
  since: now,
  watch: { lookedAt: now, check: { kind: "none", waitedMs: 0 }, last: { kind: "unknown" }, quiet: undefined },
});

/**
 * True if the next look needs the signs of progress: they cost a scan of the process table, which is unnecessary while
 * all is well.
 */
export const wantsVitals = (state: LivenessState): boolean => state.kind !== "stuck" && isUnanswered(state.watch);

const isUnanswered = ({ check, last }: Watch): boolean =>
  check.kind === "asked" || last.kind === "silent" || last.kind === "refused";

export function stepLiveness(
  state: LivenessState,
  event: LivenessEvent,
  now: number,
  settings: LivenessSettings,
  rules: Rules,
): LivenessStep {
  // The driver has been told and ends; a check that ends meanwhile changes nothing.
  if (state.kind === "stuck") return { state, effects: [] };
  switch (event.kind) {
    case "checked":
      return { state: afterCheck(state, event.result, now), effects: [] };
    case "looked":
      return afterLook(state, event.vitals, now, settings, rules);
  }
}

function afterCheck(state: Watched, result: CheckResult, now: number): Watched {
  const watch = { ...state.watch, check: { kind: "none", waitedMs: 0 } } as const;
  const { last } = state.watch;
  switch (result.kind) {
    case "well":
      return {
        kind: "ready",
        since: state.kind === "ready" ? state.since : now,
        watch: { ...watch, last: { kind: "answered" }, quiet: undefined },
      };
    case "unwell":
      return failing(state, result.detail, now, { ...watch, last: { kind: "answered" }, quiet: undefined });
    case "silent":
      return failing(state, result.detail, now, { ...watch, last: { kind: "silent" } });
    case "refused":
      return failing(state, result.detail, now, {
        ...watch,
        last: last.kind === "refused" ? last : { kind: "refused", forMs: 0 },
      });
    case "unmade":
      return { ...state, watch: { ...watch, last: { kind: "unknown" }, quiet: undefined } };
  }
}

const failing = (state: Watched, detail: string, now: number, watch: Watch): Watched => ({
  kind: "failing",
  since: state.kind === "failing" ? state.since : now,
  detail,
  watch,
});

function afterLook(
  before: Watched,
  vitals: Vitals | undefined,
  now: number,
  settings: LivenessSettings,
  rules: Rules,
): LivenessStep {
  const ranMs = Math.min(Math.max(0, now - before.watch.lookedAt), lookCountedMsMax);
  const { check, effects, isLate } = checkAfter(before.watch.check, ranMs, settings);
  const last = lastAfter(before.watch.last, ranMs);
  const quiet =
    vitals !== undefined && isUnanswered(before.watch)
      ? quietAfter(before.watch.quiet, vitals, ranMs, rules)
      : undefined;
  const watch: Watch = { lookedAt: now, check, last, quiet };
  const late = `its check was not answered within ${settings.timeoutMs} ms`;
  const state = isLate ? failing(before, late, now, { ...watch, last: { kind: "silent" } }) : { ...before, watch };
  const why = whyStuck(state, vitals, settings);
  if (why === undefined) return { state, effects };
  return {
    state: { kind: "stuck", since: now, detail: why },
    effects: [{ kind: "abandon-check" }, { kind: "stuck", detail: why }],
  };
}

const lastAfter = (last: LastCheck, ranMs: number): LastCheck =>
  last.kind === "refused" ? { kind: "refused", forMs: last.forMs + ranMs } : last;

function checkAfter(
  check: Check,
  ranMs: number,
  { intervalMs, timeoutMs }: LivenessSettings,
): { check: Check; effects: readonly LivenessEffect[]; isLate: boolean } {
  if (check.kind === "asked") {
    const forMs = check.forMs + ranMs;
    if (forMs < timeoutMs) return { check: { kind: "asked", forMs }, effects: [], isLate: false };
    return { check: { kind: "none", waitedMs: 0 }, effects: [{ kind: "abandon-check" }], isLate: true };
  }
  const waitedMs = check.waitedMs + ranMs;
  if (waitedMs < intervalMs) return { check: { kind: "none", waitedMs }, effects: [], isLate: false };
  return { check: { kind: "asked", forMs: 0 }, effects: [{ kind: "check" }], isLate: false };
}

function quietAfter(quiet: Quiet | undefined, vitals: Vitals, ranMs: number, rules: Rules): Quiet {
  if (quiet === undefined) return { forMs: 0, from: vitals };
  const forMs = quiet.forMs + ranMs;
  return rules.has("liveness-progress") && hasMoved(quiet.from, vitals, forMs)
    ? { forMs: 0, from: vitals }
    : { forMs, from: quiet.from };
}

function hasMoved(from: Vitals, to: Vitals, forMs: number): boolean {
  if (to.traffic !== from.traffic || to.commits !== from.commits || to.isRunnable) return true;
  if (to.cpuMs === undefined || from.cpuMs === undefined) return true;
  return to.cpuMs - from.cpuMs > housekeepingCpu.ms + housekeepingCpu.share * forMs;
}

/** Returns undefined if it is not stuck. */
function whyStuck(
  { watch: { last, quiet } }: Watched,
  vitals: Vitals | undefined,
  { patienceMs }: LivenessSettings,
): string | undefined {
  if (patienceMs === undefined) return undefined;
  const quietMs = quiet?.forMs ?? 0;
  const refusedPatienceMs = Math.min(patienceMs, refusedPatienceMsMax);
  if (last.kind === "refused" && last.forMs >= refusedPatienceMs) {
    const refused = `its port has refused every connection for ${refusedPatienceMs} ms`;
    if (vitals?.openRequests === 0) return `${refused}, and no request is in progress`;
    if (quietMs >= refusedPatienceMs) return `${refused}, and ${nothingMoved}`;
  }
  return quietMs < patienceMs ? undefined : `no check was answered for ${patienceMs} ms, and ${nothingMoved}`;
}

const nothingMoved = "nothing made progress: no byte of a request or a response, no commit, no CPU time";
