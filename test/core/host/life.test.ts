import { describe, expect, test } from "bun:test";
import {
  type HostEvent,
  type HostState,
  type HostStep,
  IllegalHostTransition,
  initialHostState,
  stepHost as stepHostBy,
} from "../../../src/core/host/life.ts";
import { allRules, withoutRule } from "../../../src/core/rules.ts";

const stepHost = (state: HostState, event: HostEvent): HostStep => stepHostBy(state, event, allRules);

const primary: HostState = { kind: "primary", epoch: 3 };
const starting: HostState = { kind: "starting", epoch: 3 };
const draining: HostState = { kind: "draining", epoch: 3, successor: "b", reason: "switchover" };

function walk(state: HostState, ...events: HostEvent[]): HostState {
  return events.reduce((at, event) => stepHost(at, event).state, state);
}

const effects = (state: HostState, event: HostEvent): string[] =>
  stepHost(state, event).effects.map((effect) => effect.kind);

describe("a host's life", () => {
  test("goes from restoring to primary and back through a switchover", () => {
    const serving = walk(
      initialHostState,
      { kind: "restored" },
      { kind: "promote" },
      { kind: "claimed", epoch: 7 },
      { kind: "may-serve" },
    );
    expect(serving).toEqual({ kind: "primary", epoch: 7 });
    const after = walk(serving, { kind: "demote", successor: "b", reason: "maintenance" }, { kind: "vacated" });
    expect(after.kind).toBe("restoring");
  });

  test("never serves before the claim, the lease and the application are there", () => {
    for (const state of [initialHostState, { kind: "secondary" } as const, { kind: "claiming" } as const]) {
      for (const event of ["promote", "restored"] as const) {
        const step = (() => {
          try {
            return stepHost(state, { kind: event });
          } catch {
            return undefined;
          }
        })();
        expect(step?.effects.some((effect) => effect.kind === "serve") ?? false).toBe(false);
      }
    }
    expect(effects(starting, { kind: "may-serve" })).toEqual(["serve"]);
  });

  test("shuts the gate before anything else when it is fenced, wherever it may be releasing", () => {
    for (const state of [primary, starting, draining]) {
      expect(effects(state, { kind: "fenced", host: "b", epoch: 4 })).toEqual(["shut-gate", "restore"]);
    }
  });

  test("shuts the gate when capture can no longer be trusted", () => {
    for (const state of [primary, starting, draining]) {
      expect(effects(state, { kind: "must-stop", reason: "frames are gone" })[0]).toBe("shut-gate");
    }
  });

  test("gives the service up when the application cannot run, and follows again: what fails it may pass", () => {
    for (const state of [primary, starting]) {
      const step = stepHost(state, { kind: "application-failed", reason: "exit code 1" });
      expect(step.state).toEqual({ kind: "restoring", reason: "exit code 1" });
      expect(step.effects).toEqual([
        { kind: "put-off", reason: "exit code 1" },
        { kind: "give-up", reason: "exit code 1" },
      ]);
      expect(walk(step.state, { kind: "restored" })).toEqual({ kind: "secondary" });
    }
  });

  test("without the rule is failed for ever by an application that did not start once", () => {
    const { state } = stepHostBy(starting, { kind: "application-failed", reason: "exit code 1" }, withoutRule("retry"));
    expect(state).toEqual({ kind: "failed", reason: "exit code 1" });
  });

  test("is put off when it had to stop at once as primary, and not when it was fenced or asked to leave", () => {
    for (const state of [primary, starting]) {
      expect(effects(state, { kind: "must-stop", reason: "frames are gone" })).toEqual([
        "shut-gate",
        "put-off",
        "restore",
      ]);
      expect(effects(state, { kind: "fenced", host: "b", epoch: 4 })).not.toContain("put-off");
    }
    expect(effects(draining, { kind: "must-stop", reason: "frames are gone" })).toEqual(["shut-gate", "restore"]);
    expect(effects(draining, { kind: "vacated" })).toEqual(["shut-gate", "restore"]);
  });

  test("restores, at the time of its next try, when a stage broke down, wherever it was", () => {
    for (const state of [
      initialHostState,
      { kind: "secondary" } as const,
      { kind: "claiming" } as const,
      starting,
      primary,
      draining,
    ]) {
      const step = stepHost(state, { kind: "stage-failed", reason: "EIO: i/o error, close" });
      expect(step.state).toEqual({ kind: "restoring", reason: "EIO: i/o error, close" });
      expect(step.effects.map(({ kind }) => kind)).toEqual(["shut-gate", "put-off", "restore"]);
      expect(step.effects.at(-1)).toEqual({ kind: "restore", paced: true });
    }
    const failed: HostState = { kind: "failed", reason: "two hosts with one id" };
    expect(stepHost(failed, { kind: "stage-failed", reason: "EIO" })).toEqual({ state: failed, effects: [] });
  });

  test("says why its restore has not succeeded yet", () => {
    expect(stepHost(initialHostState, { kind: "restore-delayed", reason: "the disk is full" })).toEqual({
      state: { kind: "restoring", reason: "the disk is full" },
      effects: [],
    });
  });

  test("starts again from a checkpoint when its claim stood in a hole", () => {
    expect(effects({ kind: "claiming" }, { kind: "claim-void" })).toEqual(["restore"]);
  });

  test("goes on following when another host was first, or the vault did not take its claim", () => {
    expect(stepHost({ kind: "claiming" }, { kind: "claim-unwritten" })).toEqual({
      state: { kind: "secondary" },
      effects: [{ kind: "follow" }],
    });
    expect(stepHost({ kind: "claiming" }, { kind: "claim-lost", host: "b" })).toEqual({
      state: { kind: "secondary" },
      effects: [{ kind: "follow" }],
    });
  });

  test("ignores what two of its parts noticed at the same time", () => {
    const restoring = stepHost(primary, { kind: "fenced", host: "b", epoch: 4 }).state;
    expect(stepHost(restoring, { kind: "fenced", host: "b", epoch: 4 })).toEqual({ state: restoring, effects: [] });
    expect(stepHost(restoring, { kind: "application-failed", reason: "killed" }).effects).toEqual([]);
  });

  test("throws on a transition that only a defect can cause", () => {
    expect(() => stepHost({ kind: "secondary" }, { kind: "claimed", epoch: 1 })).toThrow(IllegalHostTransition);
    expect(() => stepHost(initialHostState, { kind: "promote" })).toThrow(IllegalHostTransition);
    expect(() => stepHost(primary, { kind: "promote" })).toThrow(IllegalHostTransition);
  });

  test("leaves a failure only when somebody asks for it", () => {
    const failed = stepHost(primary, { kind: "broken", reason: "two hosts with one id" });
    expect(failed.state.kind).toBe("failed");
    expect(failed.effects).toEqual([{ kind: "shut-gate" }]);
    expect(effects(failed.state, { kind: "restore" })).toEqual(["restore"]);
  });
});
