/**
 * Runs one hook of an operator: a program with arguments, as the host's own user, in a process group of its own, which
 * is killed when its time is over. Its output is lines of the host's log, and its end is part of a failure's detail.
 */
import { spawn } from "node:child_process";
import { cleanEnvironment } from "../../runtime/clean-environment.ts";
import type { Logger } from "../../runtime/log.ts";
import { inheritedUmask } from "../../runtime/umask.ts";
import type { HookCall, HookEnd } from "../ports/hook.ts";
import { OutputTail } from "./output-tail.ts";

export interface HookProgram {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly timeoutMs: number;
  readonly secrets: readonly string[];
}

/** Never rejects. Aborted: its group is killed. */
export function runHook(program: HookProgram, call: HookCall, log: Logger): Promise<HookEnd> {
  const { command, cwd, timeoutMs, secrets } = program;
  const tail = new OutputTail(secrets);
  return new Promise((resolve) => {
    const child = spawn("/bin/sh", ["-c", 'umask "$1"; shift; exec "$@"', "stead-hook", inheritedUmask(), ...command], {
      cwd,
      env: { ...cleanEnvironment(process.env), ...environmentOf(call) },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (bytes: Uint8Array) => tail.take(bytes));
      stream.on("error", () => undefined);
    }
    const settle = (failure: string | undefined): void => {
      clearTimeout(timer);
      call.signal.removeEventListener("abort", onAbort);
      const { text } = tail;
      if (text !== "") log.info(`hook ${call.hook}`, { output: text });
      resolve(
        failure === undefined ? { kind: "ok" } : { kind: "failed", why: text === "" ? failure : `${failure}: ${text}` },
      );
    };
    const timer = setTimeout(() => {
      killGroup(child.pid);
      settle(`did not end within ${timeoutMs} ms and is killed`);
    }, timeoutMs);
    const onAbort = (): void => {
      killGroup(child.pid);
      settle("was ended: this host's role changed meanwhile");
    };
    call.signal.addEventListener("abort", onAbort, { once: true });
    child.once("error", (error) => settle(`could not be started: ${error.message}`));
    // Not `close`: a process that it left in the background may keep the pipes open.
    child.once("exit", (code, signal) =>
      setImmediate(() =>
        settle(code === 0 ? undefined : `ended with ${code === null ? (signal ?? "a signal") : `exit code ${code}`}`),
      ),
    );
    if (call.signal.aborted) onAbort();
  });
}

const environmentOf = ({ hook, service, host, epoch, role, reason, dataFolder }: HookCall): Record<string, string> => ({
  STEAD_HOOK: hook,
  STEAD_SERVICE: service,
  STEAD_HOST: host,
  STEAD_EPOCH: String(epoch),
  STEAD_ROLE: role,
  STEAD_REASON: reason,
  STEAD_DATA: dataFolder,
});

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has just ended.
  }
}
