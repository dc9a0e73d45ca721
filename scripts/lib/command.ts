/** Runs a program for a script: its output appears as it comes, and is returned. */
import { spawn } from "node:child_process";

export interface Finished {
  readonly code: number;
  readonly output: string;
}

/** `show: false` keeps the output back; a program that cannot be started counts as code 127. */
export function runCommand(
  command: readonly string[],
  options: { readonly cwd: string; readonly show: boolean; readonly env?: Record<string, string> },
): Promise<Finished> {
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
    });
    let output = "";
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
      if (options.show) process.stdout.write(chunk);
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", (error) => resolve({ code: 127, output: `${output}${error.message}\n` }));
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}
