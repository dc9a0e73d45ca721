/**
 * Checks whether a host's databases fit into its limit of open descriptors: at its start and for `stead config check`.
 *
 * How many databases an application keeps open at the same time is unknown here, and closed ones cost nothing. Many
 * databases with a usual limit are therefore only a warning: thousands of tenants of which some are open are fine.
 * Below `usualLimit`, the smallest default of common systems, all of them must fit while all are written to. A host
 * without descriptors cannot put a record, and the next primary would meet the same.
 */
import { descriptorsFor, descriptorsInUse, hostDescriptors, warnShare } from "../../capture/limits.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { openFileLimit } from "../../runtime/open-file-limit.ts";

const usualLimit = 1024;

export interface DescriptorFinding {
  /** `refused`: it cannot work. `warned`: it works as long as not all databases are open. */
  readonly kind: "refused" | "warned";
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

/** This host may open too few descriptors. */
export class DescriptorLimitError extends OperatorError {
  constructor(finding: DescriptorFinding) {
    super("configuration", finding);
  }
}

/** `databases`: the existing ones. `limit`: of descriptors; undefined if unknown. */
export function checkDescriptors(databases: number, limit: number | undefined): DescriptorFinding | undefined {
  if (limit === undefined) return undefined;
  const inUse = hostDescriptors + descriptorsInUse(Math.max(1, databases));
  const idle = hostDescriptors + descriptorsFor(databases);
  const isRefused = inUse > limit && limit < usualLimit;
  if (!isRefused && idle <= limit * warnShare) return undefined;
  return {
    kind: isRefused ? "refused" : "warned",
    found: `a limit of ${limit} open files, and ${databases} databases, which need up to ${inUse} while the application has all of them open and writes, ${idle} while it only has them open`,
    accepted: isRefused
      ? `at least ${inUse}, or ${usualLimit}`
      : `at least ${Math.ceil(idle / warnShare)} for all of them`,
    advice:
      "Raise the limit of open files (LimitNOFILE= of systemd, ulimit -n, --ulimit nofile= of containers), or capture fewer databases (`databases_except`).",
  };
}

/** Reports warnings; throws `DescriptorLimitError` for a refusal. */
export function assertDescriptors(databases: number, onWarning: (text: string) => void, limit = openFileLimit()): void {
  const finding = checkDescriptors(databases, limit);
  if (finding?.kind === "refused") throw new DescriptorLimitError(finding);
  if (finding !== undefined) onWarning(`${finding.found}; required: ${finding.accepted}. ${finding.advice}`);
}
