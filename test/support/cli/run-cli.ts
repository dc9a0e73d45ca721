/** Runs a command line in this process, with streams that remember what was written. */
import { runCli } from "../../../src/cli/app.ts";
import type { CliContext, CliProcess } from "../../../src/cli/output/context.ts";

export interface CliRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function runStead(
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Record<string, string> } = {},
): Promise<CliRun> {
  let out = "";
  let err = "";
  const cliProcess: CliProcess = {
    stdout: { write: (text) => void (out += text) },
    stderr: { write: (text) => void (err += text) },
    env: options.env ?? {},
  };
  const context: CliContext = {
    process: cliProcess,
    cwd: options.cwd ?? process.cwd(),
    signal: new AbortController().signal,
    exitWith: (code) => {
      cliProcess.exitCode = code;
    },
  };
  const code = await runCli(args, context);
  return { code, out, err };
}
