import { expect, test } from "bun:test";
import { ApplicationError } from "../../src/host/application/application-error.ts";
import { Hooks } from "../../src/host/hooks.ts";
import type { HookCall, HookEnd } from "../../src/host/ports/hook.ts";
import { ManualClock } from "../support/http/manual-clock.ts";

const never = new AbortController().signal;
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

/** Hooks whose programs end when the test says so. */
function rig() {
  const clock = new ManualClock();
  const calls: { call: HookCall; end: (end: HookEnd) => void }[] = [];
  const warnings: string[] = [];
  const hooks = new Hooks({
    config: { service: "notes", id: "a", dataFolder: "/data" },
    clock,
    run: (call) => {
      const { promise, resolve } = Promise.withResolvers<HookEnd>();
      call.signal.addEventListener("abort", () => resolve({ kind: "failed", why: "was ended" }), { once: true });
      calls.push({ call, end: resolve });
      return promise;
    },
    onWarning: (text) => warnings.push(text),
    onChange: () => undefined,
  });
  return { hooks, calls, warnings, clock, names: () => calls.map(({ call }) => `${call.hook} ${call.epoch}`) };
}

test("a before_start that fails keeps the application from being started, and is told", async () => {
  const { hooks, calls, warnings } = rig();
  const started = hooks.beforeStart(3, never);
  await settle();
  expect(calls[0]?.call).toMatchObject({
    hook: "before_start",
    epoch: 3,
    role: "primary",
    service: "notes",
    host: "a",
  });
  calls[0]?.end({ kind: "failed", why: "ended with exit code 1: no disk" });
  expect(await started.catch((error: unknown) => error)).toBeInstanceOf(ApplicationError);
  expect(warnings).toEqual([
    "the hook before_start ended with exit code 1: no disk; the application is not started here",
  ]);
  expect(hooks.runs).toMatchObject([{ hook: "before_start", epoch: 3, ok: false }]);
});

test("an on_promote that hangs is ended by the end of the term, before on_demote begins", async () => {
  const { hooks, calls, names } = rig();
  hooks.promoted(3);
  await settle();
  hooks.demoted("fenced");
  hooks.demoted("the host is stopping");
  await settle();
  expect(names()).toEqual(["on_promote 3", "on_demote 3"]);
  expect(calls[0]?.call.signal.aborted).toBe(true);
  expect(calls[1]?.call).toMatchObject({ role: "secondary", reason: "fenced" });
});

test("hooks of two terms do not overlap: before_start waits for on_demote", async () => {
  const { hooks, calls, names } = rig();
  hooks.promoted(3);
  await settle();
  calls[0]?.end({ kind: "ok" });
  hooks.demoted("stepped down");
  const started = hooks.beforeStart(4, never);
  await settle();
  expect(names()).toEqual(["on_promote 3", "on_demote 3"]);
  calls[1]?.end({ kind: "ok" });
  await settle();
  expect(names()).toEqual(["on_promote 3", "on_demote 3", "before_start 4"]);
  calls[2]?.end({ kind: "ok" });
  await started;
});

test("a term that never served has nothing to undo, and an earlier process that was primary has", async () => {
  const { hooks, calls, names } = rig();
  const fenced = new AbortController();
  const started = hooks.beforeStart(3, fenced.signal);
  await settle();
  fenced.abort(new Error("fenced"));
  expect(await started.catch(String)).toBe("Error: fenced");
  hooks.demoted("fenced");
  await settle();
  expect(names()).toEqual(["before_start 3"]);
  hooks.demotedBefore(2);
  await settle();
  expect(names()).toEqual(["before_start 3", "on_demote 2"]);
  calls[1]?.end({ kind: "ok" });
  await hooks.settled();
});
