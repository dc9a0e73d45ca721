/**
 * `host.application.stop.command`: ends what signals do not reach, such as a container started by an engine. Bounded,
 * and never a reason to wait longer.
 */
import { spawn } from "node:child_process";
import { inheritedUmask } from "../../runtime/umask.ts";

export interface StopCommandOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
}

/** Returns the error for a warning; undefined: it succeeded. Never rejects. */
export function runStopCommand({ command, cwd, env, timeoutMs }: StopCommandOptions): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn("/bin/sh", ["-c", 'umask "$1"; shift; exec "$@"', "stead-stop", inheritedUmask(), ...command], {
      cwd,
      env,
      stdio: ["ignore", "inherit", "inherit"],
    });
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
