/** Hooks as the machine has them: each ends well, fails, or runs until its limit or the end of its call. */
import type { HookEnd, HookName, HookRunner } from "../../src/host/ports/hook.ts";
import type { HookTrouble, SimMachine } from "./sim-machine.ts";
import type { SimProcess } from "./sim-process.ts";

export interface SimHooksOptions {
  readonly machine: SimMachine;
  readonly process: SimProcess;
  readonly timeoutMs: number;
  readonly say: (what: string) => void;
}

export const simHooks =
  ({ machine, process, timeoutMs, say }: SimHooksOptions): HookRunner =>
  ({ hook, signal }) => {
    const manner = mannerOf(hook, machine.hooks);
    say(`hook ${hook} ${manner}`);
    switch (manner) {
      case "ends":
        return Promise.resolve({ kind: "ok" });
      case "fails":
        return Promise.resolve({ kind: "failed", why: "ended with exit code 1" });
      case "hangs":
        return new Promise<HookEnd>((resolve) => {
          const settle = (why: string) => (): void => {
            timer.cancel();
            resolve({ kind: "failed", why });
          };
          const timer = process.clock.setTimer(timeoutMs, settle(`did not end within ${timeoutMs} ms`));
          signal.addEventListener("abort", settle("was ended"), { once: true });
        });
    }
  };

function mannerOf(hook: HookName, trouble: HookTrouble): "ends" | "fails" | "hangs" {
  const isStart = hook === "before_start";
  switch (trouble) {
    case "none":
      return "ends";
    case "start-fails":
      return isStart ? "fails" : "ends";
    case "start-hangs":
      return isStart ? "hangs" : "ends";
    case "others-fail":
      return isStart ? "ends" : "fails";
    case "others-hang":
      return isStart ? "ends" : "hangs";
  }
}
