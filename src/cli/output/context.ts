/**
 * What a command may touch: output streams, environment and working folder come from here, so that a test runs any
 * command in its own process with its own streams.
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
  /** Absolute folder that relative arguments are resolved against. */
  readonly cwd: string;
  /** Aborted by the first SIGINT or SIGTERM: long-running commands stop cleanly and return. */
  readonly signal: AbortSignal;
  /** Calls `reload` at each SIGHUP from now on. Without it SIGHUP ends the process. */
  onReload?(reload: () => void): void;
  /** Calls `upgrade` at each SIGUSR2 from now on. Without it SIGUSR2 ends the process. */
  onUpgrade?(upgrade: () => void): void;
  /**
   * The exit code of a command that has said all it has to say by itself (a verdict, a table with bad news). An error
   * is thrown as a `OperatorError` instead.
   */
  exitWith(code: ExitCode): void;
}
