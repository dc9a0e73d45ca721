/**
 * The one base of errors that a person can do something about. Each says what was found, what is accepted where there
 * is a choice, and what to do; whoever prints it (terminal, log, status, API) takes it from these fields, and never
 * from the words of a message. What is thrown and is none of these is a defect, or ends where it is caught.
 */

/**
 * Where the cause is. The command line has one exit code for each (src/cli/output/exit-codes.ts, docs/OPERATIONS.md).
 */
export type ErrorArea =
  /** The command line. */
  | "usage"
  /** A configuration file, or what it names. */
  | "configuration"
  /** The vault, or what lies in it. */
  | "vault"
  /** The cluster was asked and said no. */
  | "refused"
  /** A gateway or host that does not answer. */
  | "unreachable"
  /** A port, a file, room or a right of this machine. */
  | "resource"
  /** The application does not start, or does what cannot be captured. */
  | "application"
  /** A check was made and did not hold. */
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
 * `message` is what was found and what is accepted; the advice stands by itself.
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

/** Anything thrown, in one line for a log or a status, with its advice when it has one. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof OperatorError) return `${thrown.message} (${thrown.advice})`;
  return thrown instanceof Error ? thrown.message : String(thrown);
}
