/**
 * Whether the databases of a host fit into the descriptors that it may have open: for its start and for
 * `stead config check`.
 *
 * How many databases an application keeps open at the same time is not known here, and those that nobody has open cost
 * nothing. So many databases beside a usual limit are a warning: thousands of tenants of which some are open are well.
 * Below `usualLimit`, the smallest that systems give to a process by default, all of them must fit while all are
 * written to. A host without descriptors cannot put a record, and the next primary would meet the same.
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

/** This host may have too few descriptors open. */
export class DescriptorLimitError extends OperatorError {
  constructor(finding: DescriptorFinding) {
    super("configuration", finding);
  }
}

/** `databases`: those that are there. `limit`: of descriptors; undefined when it is not known. */
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

/** Tells what is warned of; throws `DescriptorLimitError` for what is refused. */
export function assertDescriptors(databases: number, onWarning: (text: string) => void, limit = openFileLimit()): void {
  const finding = checkDescriptors(databases, limit);
  if (finding?.kind === "refused") throw new DescriptorLimitError(finding);
  if (finding !== undefined) onWarning(`${finding.found}; required: ${finding.accepted}. ${finding.advice}`);
}
