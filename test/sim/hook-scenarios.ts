/**
 * An operator's hooks that fail or hang. What must be true of every history is checked anyway: no promise is broken.
 * Here: hooks for which nothing waits delay nothing, and `before_start` costs its limit on each host that is asked.
 */
import { count, said, type Scenario } from "./scenarios.ts";
import type { Fault } from "./faults.ts";
import type { HookTrouble } from "./sim-machine.ts";
import type { RunResult } from "./run.ts";

const lostAtMs = 5_000;
/** What a failover takes without any hook: detection, agreement, claim, lease, start. */
const takeoverMsMax = 2_500;
/** What the gateways add where one candidate after the other fails: they ask again, and brake. */
const nextCandidateMsMax = 3_000;
const hookMs = 2_000;
/** Far longer than a failover takes: what waits for such a hook is found. */
const longHookMs = 60_000;
/** These histories are about time, not load. */
const few = { clients: 2, thinkMs: 100 };

/** A request that was made after `fromMs` was answered within `ms`. */
const servedWithin =
  (fromMs: number, ms: number) =>
  ({ operations }: RunResult): string | undefined =>
    operations.some(
      ({ calledAt, returnedAt, outcome }) => calledAt > fromMs && returnedAt < fromMs + ms && outcome.kind === "ok",
    )
      ? undefined
      : `nothing was served within ${ms} ms after ${fromMs} ms`;

const broken = (who: number | "all", how: Exclude<HookTrouble, "none">, forMs: number): Fault => ({
  ...{ kind: "hooks-broken", who, how, atMs: 3_000, forMs },
});
const kill: Fault = { kind: "kill", who: "primary", atMs: lostAtMs, forMs: 1_000 };
const switchoverAt = (atMs: number): Fault => ({ kind: "switchover", gateway: 0, atMs, forMs: 1 });

export const hookScenarios: readonly Scenario[] = [
  ...(["start-fails", "start-hangs"] as const).map(
    (how): Scenario => ({
      name: `a before_start of two hosts of three that ${how === "start-fails" ? "fails" : "hangs"} costs its limit on each, and the third serves`,
      faults: [broken(0, how, 30_000), broken(1, how, 30_000), kill],
      options: { faultyMs: 14_000, hookMs, ...few },
      always: servedWithin(lostAtMs, takeoverMsMax + 2 * (hookMs + nextCandidateMsMax)),
      seen: (result) => said(result, `hook before_start ${how === "start-fails" ? "fails" : "hangs"}`),
    }),
  ),
  {
    name: "a before_start that fails everywhere for ten seconds lets no host serve, and then everything is whole again",
    faults: [broken("all", "start-fails", 12_000), kill],
    options: { faultyMs: 30_000, hookMs, ...few },
    always: servedWithin(15_000, 17_000),
    seen: (result) => count(result, "hook before_start fails") > 1,
  },
  ...(["others-fail", "others-hang"] as const).map(
    (how): Scenario => ({
      name: `an on_promote and an on_demote that ${how === "others-fail" ? "fail" : "hang for a minute"} delay neither a failover nor a switchover`,
      faults: [broken("all", how, 60_000), kill, switchoverAt(9_000)],
      options: { faultyMs: 10_000, hookMs: longHookMs, hosts: 4, ...few },
      always: (result) => servedWithin(lostAtMs, takeoverMsMax)(result) ?? servedWithin(9_000, takeoverMsMax)(result),
      seen: (result) => count(result, "hook on_promote") > 2 && said(result, "hook on_demote"),
    }),
  ),
  {
    name: "an on_demote that hangs delays the return of its own host by its limit at most",
    faults: [broken("all", "others-hang", 60_000), switchoverAt(lostAtMs), switchoverAt(lostAtMs + 1_000)],
    options: { faultyMs: 9_000, hookMs, hosts: 2, ...few },
    always: servedWithin(lostAtMs + 1_000, hookMs + takeoverMsMax),
    seen: (result) => count(result, "hook on_demote hangs") > 1,
  },
];
