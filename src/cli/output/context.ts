/**
 * The context of a command: output streams, environment and working folder. A test passes its own and runs any command
 * in its own process.
 */
import type { CommandContext, StricliProcess } from "@stricli/core";
import type { ExitCode } from "./exit-codes.ts";

export interface CliStream {
  write(text: string): void;
  readonly isTTY?: boolean;
  readonly columns?: number;
  getColorDepth?(env?: Readonly<Partial<Record<string, string>>>): number;
}

export interface CliProcess extends StricliProcess {
  readonly stdout: CliStream;
  readonly stderr: CliStream;
  readonly env: Readonly<Partial<Record<string, string>>>;
}

export interface CliContext extends CommandContext {
  readonly process: CliProcess;
  /** Absolute folder against which relative arguments are resolved. */
  readonly cwd: string;
  /** Aborted by the first SIGINT or SIGTERM: long-running commands then stop cleanly and return. */
  readonly signal: AbortSignal;
  /** Asks on the terminal; true: the answer is yes. Undefined or left out: there is no terminal. */
  readonly confirm?: ((question: string) => Promise<boolean>) | undefined;
  /** Calls `reload` at each SIGHUP from now on. Without it SIGHUP ends the process. */
  onReload?(reload: () => void): void;
  /** Calls `upgrade` at each SIGUSR2 from now on. Without it SIGUSR2 ends the process. */
  onUpgrade?(upgrade: () => void): void;
  /**
   * Sets the exit code of a command that has already printed its result (a verdict, a table with problems). Errors are
   * thrown as an `OperatorError` instead.
   */
  exitWith(code: ExitCode): void;
}
