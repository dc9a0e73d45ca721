/**
 * The limit of open descriptors of this process (RLIMIT_NOFILE), as far as the system reports it; Bun raises it to the
 * hard limit at start.
 */
import { readFileSync } from "node:fs";

/** Returns undefined if it is unknown, or there is no limit. */
export function openFileLimit(): number | undefined {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1")) ?? [];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}
