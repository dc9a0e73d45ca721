/**
 * The base of all errors that an operator can act on. Each says what was found, what is accepted if there is a choice,
 * and what to do. Terminal, log, status and API print these fields and never interpret the words of a message. Any
 * other thrown value is a defect, or ends where it is caught.
 */

/**
 * The area of the cause. The command line has one exit code for each (src/cli/output/exit-codes.ts,
 * docs/OPERATIONS.md).
 */
export type ErrorArea =
  /** The command line. */
  | "usage"
  /** A configuration file, or something that it names. */
  | "configuration"
  /** The vault, or its contents. */
  | "vault"
  /** The cluster refused. */
  | "refused"
  /** A gateway or host that does not answer. */
  | "unreachable"
  /** A port, a file, space or a permission of this machine. */
  | "resource"
  /** The application does not start, or cannot be captured. */
  | "application"
  /** A check ran and failed. */
  | "verdict"
  /** A part of stead ended by itself. */
  | "unexpected";

export interface OperatorErrorText {
  /** What was found, one sentence. */
  readonly found: string;
  readonly accepted?: string | undefined;
  /** What to do about it. */
  readonly advice: string;
}

/**
 * `message` is what was found and what is accepted; the advice is separate.
 *
 * @example
 * throw new OperatorError("unreachable", {
 *   found: "no gateway answers at http://127.0.0.1:7700 (connection refused)",
 *   advice: "start it with `stead gateway FILE`, or name another gateway with --gateway",
 * });
 */
export class OperatorError extends Error implements OperatorErrorText {
  readonly area: ErrorArea;
  readonly found: string;
  readonly accepted: string | undefined;
  readonly advice: string;
  constructor(area: ErrorArea, { found, accepted, advice }: OperatorErrorText, options?: ErrorOptions) {
    super(accepted === undefined ? found : `${found}; accepted is ${accepted}`, options);
    this.name = new.target.name;
    this.area = area;
    this.found = found;
    this.accepted = accepted;
    this.advice = advice;
  }
}

/** Formats anything thrown as one line for a log or a status, with its advice if it has one. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof OperatorError) return `${thrown.message} (${thrown.advice})`;
  return thrown instanceof Error ? thrown.message : String(thrown);
}
