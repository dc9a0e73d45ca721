import { describe, expect, test } from "bun:test";
import {
  firstHostStep,
  type HostEffect,
  type HostEvent,
  type HostLife,
  type HostState,
  type HostStep,
  IllegalHostTransition,
  stepHost,
} from "../../../src/core/host/life.ts";
import { type RetrySchedule, wellBeingMs } from "../../../src/core/host/retry-schedule.ts";
import { allRules, withoutRule } from "../../../src/core/rules.ts";

const restoring: HostState = { kind: "restoring", reason: "starting" };
const secondary: HostState = { kind: "secondary" };
const claiming: HostState = { kind: "claiming" };
const starting: HostState = { kind: "starting", epoch: 3 };
const primary: HostState = { kind: "primary", epoch: 3, servesSince: 0 };
const draining: HostState = { kind: "draining", epoch: 3, successor: "b", reason: "switchover" };
const failed: HostState = { kind: "failed", reason: "two hosts with one id" };

const lifeOf = (state: HostState, retry?: RetrySchedule): HostLife => ({ state, retry });
const step = (state: HostState, event: HostEvent, now = 0): HostStep => stepHost(lifeOf(state), event, now, allRules);
const walk = (life: HostLife, ...events: HostEvent[]): HostLife =>
  events.reduce((at, event) => stepHost(at, event, 0, allRules).life, life);
const effects = (state: HostState, event: HostEvent): string[] =>
  step(state, event).effects.map((effect) => effect.kind);
const find = <Kind extends HostEffect["kind"]>(
  { effects }: HostStep,
  kind: Kind,
): Extract<HostEffect, { kind: Kind }> | undefined =>
  effects.find((effect): effect is Extract<HostEffect, { kind: Kind }> => effect.kind === kind);

const restored: HostEvent = { kind: "restored", bootstrapped: false };
const vacated: HostEvent = { kind: "vacated", position: 40 };
const fenced: HostEvent = { kind: "fenced", host: "b", epoch: 4 };
const mustStop: HostEvent = { kind: "must-stop", reason: "frames are gone" };
const applicationFailed: HostEvent = { kind: "application-failed", reason: "exit code 1" };
const stageFailed: HostEvent = { kind: "stage-failed", reason: "EIO: i/o error, close" };

describe("a host's life", () => {
  test("begins with a restore", () => {
    expect(firstHostStep).toEqual({ life: lifeOf(restoring), effects: [{ kind: "restore" }] });
  });

  test("goes from restoring to primary and back through a switchover", () => {
    const serving = walk(
      firstHostStep.life,
      restored,
      { kind: "promote", overEpoch: 6 },
      { kind: "claimed", epoch: 7 },
      { kind: "may-serve" },
    );
    expect(serving.state).toEqual({ kind: "primary", epoch: 7, servesSince: 0 });
    const after = walk(serving, { kind: "demote", successor: "b", reason: "maintenance" }, vacated);
    expect(after.state.kind).toBe("restoring");
  });

  test("never serves before the claim, the lease and the application are there", () => {
    for (const state of [restoring, secondary, claiming]) {
      for (const event of [{ kind: "promote", overEpoch: 2 }, restored] as const) {
        let found: string[] = [];
        try {
          found = effects(state, event);
        } catch (error) {
          expect(error).toBeInstanceOf(IllegalHostTransition);
        }
        expect(found).not.toContain("serve");
      }
    }
    expect(effects(starting, { kind: "may-serve" })).toEqual(["serve"]);
  });

  test("claims over the epoch that the order was judged on", () => {
    expect(find(step(secondary, { kind: "promote", overEpoch: 6 }), "claim")).toEqual({ kind: "claim", overEpoch: 6 });
  });

  test("promotes itself only after it has bootstrapped the vault", () => {
    expect(effects(restoring, { kind: "restored", bootstrapped: true })).toEqual(["follow", "promote-itself"]);
    expect(effects(restoring, restored)).toEqual(["follow"]);
  });

  test("shuts the gate before anything else when it is fenced, in every state in which it may be releasing", () => {
    for (const state of [primary, starting, draining])
      expect(effects(state, fenced)).toEqual(["shut-gate", "refuse", "restore"]);
  });

  test("shuts the gate when capture can no longer be trusted", () => {
    for (const state of [primary, starting, draining]) expect(effects(state, mustStop)[0]).toBe("shut-gate");
  });

  test("gives the service up when the application cannot run, and follows again, since the cause may be transient", () => {
    for (const state of [primary, starting]) {
      const { life, effects } = step(state, applicationFailed);
      expect(life).toEqual({
        state: { kind: "restoring", reason: "exit code 1" },
        retry: { reason: "exit code 1", attempts: 1, nextAt: 1_000 },
      });
      expect(effects.map(({ kind }) => kind)).toEqual(["warn", "refuse", "give-up"]);
      expect(walk(life, restored).state).toEqual(secondary);
    }
  });

  test("without the rule is failed permanently by an application that did not start once", () => {
    const { life } = stepHost(lifeOf(starting), applicationFailed, 0, withoutRule("retry"));
    expect(life.state).toEqual({ kind: "failed", reason: "exit code 1" });
  });

  test("restores at its next scheduled try when a stage failed, in every state", () => {
    for (const state of [restoring, secondary, claiming, starting, primary, draining]) {
      const broken = step(state, stageFailed, 500);
      expect(broken.life.state).toEqual({ kind: "restoring", reason: "EIO: i/o error, close" });
      expect(broken.effects[0]?.kind).toBe("shut-gate");
      expect(find(broken, "restore")?.notBefore).toBe(1_500);
      expect(find(broken, "warn")?.reason).toBe("EIO: i/o error, close");
    }
    expect(step(failed, stageFailed)).toEqual({ life: lifeOf(failed), effects: [] });
  });

  test("reports why its restore has not succeeded yet, once for each reason", () => {
    const delayed: HostEvent = { kind: "restore-delayed", reason: "the disk is full", isFailure: true };
    const first = step(restoring, delayed);
    expect(first).toEqual({
      life: lifeOf({ kind: "restoring", reason: "the disk is full" }),
      effects: [{ kind: "tell-delay", reason: "the disk is full", isFailure: true }],
    });
    expect(stepHost(first.life, delayed, 0, allRules)).toEqual({ life: first.life, effects: [] });
  });

  test("starts again from a checkpoint when its claim stood in a hole", () => {
    expect(effects(claiming, { kind: "claim-void" })).toEqual(["refuse", "restore"]);
  });

  test("continues to follow when it did not get the epoch, and names the host that got it", () => {
    const refusal = { kind: "epoch_taken", epoch: 4, host: "b" } as const;
    expect(step(claiming, { kind: "not-claimed", refusal })).toEqual({
      life: lifeOf(secondary),
      effects: [{ kind: "refuse", refusal }, { kind: "follow" }],
    });
  });

  test("lets the successor that its vacate record names go first, and waits for none that it does not name", () => {
    expect(find(step(draining, vacated), "restore")?.vacatedAt).toBe(40);
    expect(find(step({ ...draining, successor: undefined }, vacated), "restore")?.vacatedAt).toBeUndefined();
    expect(find(step(draining, fenced), "restore")?.vacatedAt).toBeUndefined();
  });

  test("aborts a rehearsal whenever it stops being a secondary, and at no other time", () => {
    const leaving: HostEvent[] = [
      { kind: "promote", overEpoch: 0 },
      { kind: "cannot-follow", reason: "damaged" },
      { kind: "restore" },
      stageFailed,
      { kind: "broken", reason: "two hosts with one id" },
    ];
    for (const event of leaving) expect(effects(secondary, event).at(-1)).toBe("cut-rehearsal");
    for (const state of [restoring, primary, draining])
      expect(effects(state, stageFailed)).not.toContain("cut-rehearsal");
  });

  test("ignores the second of two parts that report at the same time", () => {
    const { life } = step(primary, fenced);
    expect(stepHost(life, fenced, 0, allRules)).toEqual({ life, effects: [] });
    expect(stepHost(life, applicationFailed, 0, allRules).effects).toEqual([]);
  });

  test("throws on a transition that only a defect can cause", () => {
    expect(() => step(secondary, { kind: "claimed", epoch: 1 })).toThrow(IllegalHostTransition);
    expect(() => step(restoring, { kind: "promote", overEpoch: 0 })).toThrow(IllegalHostTransition);
    expect(() => step(primary, { kind: "promote", overEpoch: 3 })).toThrow(IllegalHostTransition);
  });

  test("neither claims nor starts anything after it failed on the way to primary", () => {
    const broken: HostEvent = { kind: "broken", reason: "two hosts with one id" };
    for (const state of [claiming, starting]) expect(effects(state, broken).at(-1)).toBe("halt");
    for (const state of [restoring, secondary, primary]) expect(effects(state, broken)).not.toContain("halt");
  });

  test("leaves the failed state only on an operator's order", () => {
    const broken = step(primary, { kind: "broken", reason: "two hosts with one id" });
    expect(broken.life.state).toEqual(failed);
    expect(broken.effects.map(({ kind }) => kind)).toEqual(["shut-gate", "refuse"]);
    expect(effects(failed, { kind: "restore" })).toEqual(["refuse", "restore"]);
  });
});

describe("an event of a term", () => {
  const mayServe: HostEvent = { kind: "may-serve" };

  test("changes nothing when it comes after the term has ended", () => {
    for (const state of [restoring, secondary, failed])
      for (const event of [fenced, mustStop, applicationFailed, mayServe, vacated])
        expect(step(state, event)).toEqual({ life: lifeOf(state), effects: [] });
    for (const event of [applicationFailed, mayServe])
      expect(step(draining, event)).toEqual({ life: lifeOf(draining), effects: [] });
  });

  test("is a defect before the term has begun, or when it has come already", () => {
    for (const event of [fenced, mustStop, applicationFailed, mayServe, vacated])
      expect(() => step(claiming, event)).toThrow(IllegalHostTransition);
    expect(() => step(primary, mayServe)).toThrow(IllegalHostTransition);
    for (const state of [starting, primary]) expect(() => step(state, vacated)).toThrow(IllegalHostTransition);
  });
});

describe("what keeps a host from staying primary", () => {
  const retry: RetrySchedule = { reason: "port in use", attempts: 3, nextAt: 4_000 };

  test("puts it off when it had to stop at once, and not when it was fenced or asked to leave", () => {
    for (const state of [primary, starting]) {
      expect(step(state, mustStop).life.retry?.attempts).toBe(1);
      expect(step(state, fenced).life.retry).toBeUndefined();
    }
    for (const event of [mustStop, vacated, fenced]) {
      const { life, effects } = step(draining, event);
      expect(life.retry).toBeUndefined();
      expect(effects.map(({ kind }) => kind)).toEqual(["shut-gate", "refuse", "restore"]);
    }
  });

  test("continues to count while it serves, and is forgotten by a term that was healthy for long enough", () => {
    for (const event of [fenced, { kind: "demote", successor: undefined, reason: "maintenance" }] as const) {
      expect(stepHost(lifeOf(primary, retry), event, wellBeingMs - 1, allRules).life.retry).toEqual(retry);
      expect(stepHost(lifeOf(primary, retry), event, wellBeingMs, allRules).life.retry).toBeUndefined();
    }
    expect(stepHost(lifeOf(primary, retry), mustStop, wellBeingMs - 1, allRules).life.retry?.attempts).toBe(4);
    expect(stepHost(lifeOf(primary, retry), mustStop, wellBeingMs, allRules).life.retry?.attempts).toBe(1);
    const serving = stepHost(lifeOf(starting, retry), { kind: "may-serve" }, 70, allRules).life;
    expect(serving).toEqual({ state: { kind: "primary", epoch: 3, servesSince: 70 }, retry });
  });

  test("is forgotten when an operator orders a restore, and after a rehearsal that succeeded", () => {
    for (const state of [restoring, secondary, failed])
      expect(stepHost(lifeOf(state, retry), { kind: "restore" }, 0, allRules).life.retry).toBeUndefined();
    const { life, effects } = stepHost(lifeOf(secondary, retry), { kind: "rehearsed" }, 0, allRules);
    expect(life).toEqual(lifeOf(secondary));
    expect(effects).toEqual([]);
  });
});
