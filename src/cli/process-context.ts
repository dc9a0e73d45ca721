/**
 * The real process as a `CliContext`: its streams, and its signals as an AbortSignal. The first SIGINT, SIGTERM or
 * SIGQUIT requests a clean stop, a second one ends the process at once.
 */
import { createInterface } from "node:readline/promises";
import type { CliContext, CliProcess, CliStream } from "./output/context.ts";
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
  const cliProcess: CliProcess = { stdout: guarded(process.stdout), stderr: guarded(process.stderr), env: process.env };
  const context: CliContext = {
    process: cliProcess,
    cwd: process.cwd(),
    signal: controller.signal,
    confirm: process.stdin.isTTY && process.stdout.isTTY ? confirmOnTerminal : undefined,
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

async function confirmOnTerminal(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return (await terminal.question(question)).trim().toLowerCase() === "yes";
  } finally {
    terminal.close();
  }
}

/**
 * Escapes DEL and C1 in all output, also in that of `--json`, where the escape has the same meaning. Text that others
 * have written is escaped where it is formatted; the commands themselves use C0 only (lines, `status --watch`).
 */
const guarded = (stream: NodeJS.WriteStream): CliStream => ({
  write: (text) => void stream.write(text.replace(/[\u007f-\u009f]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`)),
  get isTTY() {
    return stream.isTTY;
  },
  get columns() {
    return stream.columns;
  },
  ...(stream.isTTY ? { getColorDepth: (env) => stream.getColorDepth(env) } : {}),
});

const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => {
    stream.write("", () => resolve());
  });
