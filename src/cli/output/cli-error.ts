/**
 * An error that the person at the terminal can do something about. It says what was found, what is accepted and what to
 * do, and carries the exit code. Everything else that is thrown counts as a defect and exits with `unexpected`.
 */
import { type ExitCode } from "./exit-codes.ts";

export interface CliErrorText {
  /** What was found, one sentence, no full stop at the end needed. */
  readonly found: string;
  readonly accepted?: string;
  /** What to do about it. */
  readonly advice: string;
}

/**
 * @example
 * throw new CliError(exitCodes.unreachable, {
 *   found: "no gateway answers at http://127.0.0.1:7700 (connection refused)",
 *   advice: "start it with `stead gateway FILE`, or name another one with --gateway",
 * });
 */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  readonly text: CliErrorText;
  constructor(exitCode: ExitCode, text: CliErrorText, options?: ErrorOptions) {
    super(text.found, options);
    this.exitCode = exitCode;
    this.text = text;
  }
}

/** The lines that the terminal shows, without colour. */
export function formatCliError(error: CliError): string {
  const lines = [`stead: ${error.text.found}`];
  if (error.text.accepted !== undefined) lines.push(`  accepted: ${error.text.accepted}`);
  lines.push(`  do: ${error.text.advice}`);
  return lines.join("\n");
}
