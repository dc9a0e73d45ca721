/**
 * Whether the application that a host runs is well, failing, or stuck: decided from its checks and from what moves
 * meanwhile.
 *
 *   ready ⇄ failing ──► stuck        (stuck is the end: the application is killed, and a new run begins as ready)
 *
 * *Failing*: the last check was not answered well. *Stuck*: for the whole patience no check was answered at all and
 * nothing moved: no byte between the application and its clients, no commit, no CPU time. Four arguments:
 *
 * - An answer of any status moves. An application that says 503 is failing and alive; what it lacks (its LDAP server,
 *   its disk) a restart does not bring, and a restart for every 503 would make an outage of each hiccup.
 * - CPU time counts beyond a small share only: the housekeeping of a runtime (timers, garbage collectors) goes on in
 *   one that is deadlocked. What is ready to run and waits for a processor moves: on a machine that is too busy an
 *   application may get less than that share.
 * - Time counts only while this host itself runs. Each look adds at most `lookCountedMsMax`, however long ago the last
 *   one was: when the machine was suspended, or everything on it stopped, nothing had a chance to move. Timeouts of
 *   checks are counted in the same time.
 * - A refused connection is certain where silence is not: no process listens. For that the patience is
 *   `refusedPatienceMsMax`, so that a service that reopens its port is not met in the middle of it. If no request is
 *   under way, movement is not asked for either: what does not listen cannot be reached by what it computes.
 *
 * One would break it with an application that works for longer than the patience without any of these signs: one thread
 * that waits for another server, and checks that wait behind it. That is why the default is as long as it is, why it is
 * longer without a path, and why "off" exists.
 */
import type { Rules } from "../rules.ts";

/** A check that was ordered has ended. */
export type CheckResult =
  | { readonly kind: "well" }
  /** Answered, and not well. */
  | { readonly kind: "unwell"; readonly detail: string }
  /** A connection was taken or is pending, and there is no answer. */
  | { readonly kind: "silent"; readonly detail: string }
  /** No process listens. */
  | { readonly kind: "refused"; readonly detail: string }
  /** It could not be made, by no fault of the application: this host has no descriptor left. Says nothing. */
  | { readonly kind: "unmade"; readonly detail: string };

/** What moves: counters that only grow within one run of the application. */
export interface Vitals {
  /** Changes with whatever goes between the application and its clients. */
  readonly traffic: number;
  readonly commits: number;
  /** Of all its processes; null: this system does not tell, and then it is taken to move. */
  readonly cpuMs: number | null;
  /** A thread of it runs, or waits for a processor. */
  readonly isRunnable: boolean;
  /** Requests of clients that it has not answered. */
  readonly openRequests: number;
}

export interface LivenessSettings {
  readonly intervalMs: number;
  /** A check that is answered later has failed. */
  readonly timeoutMs: number;
  /** null: the application is never taken for stuck. */
  readonly patienceMs: number | null;
}

/** The driver looks so often. */
export const lookMs = 100;
/** So much of the time between two looks counts, at most. */
export const lookCountedMsMax = 2 * lookMs;
/** How long the port may refuse connections, or the patience if that is less. */
export const refusedPatienceMsMax = 3_000;
/** CPU time that is not movement: in all, and as a share of the time. */
export const housekeepingCpu = { ms: 20, share: 0.01 } as const;

type Check = { readonly kind: "none"; readonly waitedMs: number } | { readonly kind: "asked"; readonly forMs: number };

/** Since when nothing has moved, as counted time, and what the counters were then. */
interface Quiet {
  readonly forMs: number;
  readonly from: Vitals;
}

/** How the last check ended. `unknown`: there was none, or it says nothing. */
type LastCheck =
  | { readonly kind: "unknown" }
  | { readonly kind: "answered" }
  | { readonly kind: "silent" }
  /** This one and all before it, for so much counted time. */
  | { readonly kind: "refused"; readonly forMs: number };

interface Watch {
  readonly lookedAt: number;
  readonly check: Check;
  readonly last: LastCheck;
  /** null: a check was answered, and none has been asked since. */
  readonly quiet: Quiet | null;
}

export type LivenessState =
  | { readonly kind: "ready"; readonly since: number; readonly watch: Watch }
  | { readonly kind: "failing"; readonly since: number; readonly detail: string; readonly watch: Watch }
  | { readonly kind: "stuck"; readonly since: number; readonly detail: string };

export type LivenessEvent =
  | { readonly kind: "checked"; readonly result: CheckResult }
  /** Every `lookMs`; `vitals` where `wantsVitals` says so. */
  | { readonly kind: "looked"; readonly vitals: Vitals | null };

export type LivenessEffect =
  /** Ask the application how it is; reports `checked`. */
  | { readonly kind: "check" }
  /** The result of the check under way is no longer needed. */
  | { readonly kind: "abandon-check" }
  | { readonly kind: "stuck"; readonly detail: string };

export interface LivenessStep {
  readonly state: LivenessState;
  readonly effects: readonly LivenessEffect[];
}

type Watched = Exclude<LivenessState, { kind: "stuck" }>;

/** An application that has just become ready. */
export const initialLiveness = (now: number): LivenessState => ({
  kind: "ready",
  since: now,
  watch: { lookedAt: now, check: { kind: "none", waitedMs: 0 }, last: { kind: "unknown" }, quiet: null },
});

/**
 * Whether the next look needs to know what moves: looking costs a scan of the process table, which is not needed while
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
  // The driver hears of it and ends; a check that ends meanwhile changes nothing.
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
        watch: { ...watch, last: { kind: "answered" }, quiet: null },
      };
    case "unwell":
      return failing(state, result.detail, now, { ...watch, last: { kind: "answered" }, quiet: null });
    case "silent":
      return failing(state, result.detail, now, { ...watch, last: { kind: "silent" } });
    case "refused":
      return failing(state, result.detail, now, {
        ...watch,
        last: last.kind === "refused" ? last : { kind: "refused", forMs: 0 },
      });
    case "unmade":
      return { ...state, watch: { ...watch, last: { kind: "unknown" }, quiet: null } };
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
  vitals: Vitals | null,
  now: number,
  settings: LivenessSettings,
  rules: Rules,
): LivenessStep {
  const ranMs = Math.min(Math.max(0, now - before.watch.lookedAt), lookCountedMsMax);
  const { check, effects, isLate } = checkAfter(before.watch.check, ranMs, settings);
  const last = lastAfter(before.watch.last, ranMs);
  const quiet =
    vitals !== null && isUnanswered(before.watch) ? quietAfter(before.watch.quiet, vitals, ranMs, rules) : null;
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

function quietAfter(quiet: Quiet | null, vitals: Vitals, ranMs: number, rules: Rules): Quiet {
  if (quiet === null) return { forMs: 0, from: vitals };
  const forMs = quiet.forMs + ranMs;
  return rules.has("liveness-progress") && hasMoved(quiet.from, vitals, forMs)
    ? { forMs: 0, from: vitals }
    : { forMs, from: quiet.from };
}

function hasMoved(from: Vitals, to: Vitals, forMs: number): boolean {
  if (to.traffic !== from.traffic || to.commits !== from.commits || to.isRunnable) return true;
  if (to.cpuMs === null || from.cpuMs === null) return true;
  return to.cpuMs - from.cpuMs > housekeepingCpu.ms + housekeepingCpu.share * forMs;
}

/** undefined: it is not. */
function whyStuck(
  { watch: { last, quiet } }: Watched,
  vitals: Vitals | null,
  { patienceMs }: LivenessSettings,
): string | undefined {
  if (patienceMs === null) return undefined;
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
