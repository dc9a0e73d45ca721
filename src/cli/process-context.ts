/**
 * The real process as a `CliContext`: its streams, and its signals as an AbortSignal. The first SIGINT, SIGTERM or
 * SIGQUIT requests a clean stop, a second one ends the process at once.
 */
import type { CliContext, CliProcess } from "./output/context.ts";
import { type ExitCode, exitCodes } from "./output/exit-codes.ts";
import { restrictUmask } from "../runtime/umask.ts";

export interface ProcessContext {
  readonly context: CliContext;
  /** Ends the process with this code once its output is written. */
  exit(code: ExitCode): Promise<void>;
}

export function processContext(): ProcessContext {
  restrictUmask();
  const controller = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort(new Error(`${signal} received`));
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  process.on("SIGQUIT", onSignal);
  // The reader of a pipe is gone (`stead status | head`); that is not an error.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(exitCodes.ok);
  });
  const cliProcess: CliProcess = { stdout: process.stdout, stderr: process.stderr, env: process.env };
  const context: CliContext = {
    process: cliProcess,
    cwd: process.cwd(),
    signal: controller.signal,
    onReload: (reload) => void process.on("SIGHUP", reload),
    onUpgrade: (upgrade) => void process.on("SIGUSR2", upgrade),
    exitWith: (code) => {
      cliProcess.exitCode = code;
    },
  };
  return {
    context,
    exit: async (code) => {
      await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
      process.exit(code);
    },
  };
}

const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.write("", () => resolve());
  });
