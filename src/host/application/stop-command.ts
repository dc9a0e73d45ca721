/**
 * `host.application.stop.command`: ends what signals do not reach, such as a container started by an engine. Bounded,
 * and never a reason to wait longer.
 */
import { spawn } from "node:child_process";
import { inheritedUmask } from "../../runtime/umask.ts";
import type { OutputSink } from "./watcher.ts";

export interface StopCommandOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
  /** undefined: it goes to the host's own output. */
  readonly output?: Pick<OutputSink, "take"> | undefined;
}

/** Returns the error for a warning; undefined: it succeeded. Never rejects. */
export function runStopCommand(options: StopCommandOptions): Promise<string | undefined> {
  const { command, cwd, env, timeoutMs, output } = options;
  const stream = output === undefined ? "inherit" : "pipe";
  return new Promise((resolve) => {
    const child = spawn("/bin/sh", ["-c", 'umask "$1"; shift; exec "$@"', "stead-stop", inheritedUmask(), ...command], {
      cwd,
      env,
      stdio: ["ignore", stream, stream],
    });
    for (const one of [child.stdout, child.stderr]) {
      one?.on("data", (bytes: Uint8Array) => output?.take(bytes));
      one?.on("error", () => undefined);
    }
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      resolve(`did not end within ${timeoutMs} ms and is killed`);
    }, timeoutMs);
    const settle = (failure: string | undefined): void => {
      clearTimeout(timer);
      resolve(failure);
    };
    child.once("error", (error) => settle(`could not be started: ${error.message}`));
    child.once("exit", (code, signal) =>
      settle(code === 0 ? undefined : `ended with ${code === null ? (signal ?? "a signal") : `exit code ${code}`}`),
    );
  });
}
