/**
 * How many descriptors this process may have open (RLIMIT_NOFILE), as far as the system tells; Bun raises it to the
 * hard limit at its start.
 */
import { readFileSync } from "node:fs";

/** Undefined: the system does not tell, or there is no limit. */
export function openFileLimit(): number | undefined {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}
