import type { ErrorArea } from "../../runtime/operator-error.ts";

/**
 * The exit codes of `stead`: stable, for scripts. An error ends it with the code of its area. docs/OPERATIONS.md and
 * `stead --help` have the same table, and a test compares them.
 */
export const exitCodes = {
  /** Done; for a question: yes. */
  ok: 0,
  /** A defect, or an unforeseen system error. */
  unexpected: 1,
  /** The command line is wrong: unknown command or flag, missing or malformed value. */
  usage: 2,
  /** A configuration file is missing, malformed or contradictory. */
  configuration: 3,
  /** The vault is missing, not writable, full, unsuitable, another service's, or damaged. */
  vault: 4,
  /** The cluster refused, with a reason. */
  refused: 5,
  /** The gateway or host did not answer. */
  unreachable: 6,
  /** A port, a file or another resource of this machine is in use or not permitted. */
  resource: 7,
  /** The application did not start, did not get ready, or cannot be captured. */
  application: 8,
  /** A check ran and failed: `status`, `doctor`, `vault verify`, a drill, `demo`. */
  verdict: 9,
  /** Interrupted (128 + SIGINT) before it was done. A gateway or host that is told to stop ends with `ok`. */
  interrupted: 130,
} as const satisfies Record<ErrorArea | "ok" | "interrupted", number>;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** One line for each code, for help and documentation. */
export const exitCodeMeanings: readonly (readonly [code: ExitCode, meaning: string])[] = [
  [exitCodes.ok, "done"],
  [exitCodes.unexpected, "unexpected error; run again with --debug for the stack"],
  [exitCodes.usage, "wrong command line"],
  [exitCodes.configuration, "configuration missing, malformed or contradictory"],
  [exitCodes.vault, "vault missing, not writable, full, unsuitable, another service's, or damaged"],
  [exitCodes.refused, "refused by the cluster, with a reason"],
  [exitCodes.unreachable, "gateway or host did not answer"],
  [exitCodes.resource, "port or file in use, or not permitted"],
  [exitCodes.application, "application did not start, did not get ready, or cannot be captured"],
  [exitCodes.verdict, "a check ran and failed"],
  [exitCodes.interrupted, "interrupted before it was done"],
];
