/**
 * The reaper: a small process that outlives its cluster's process just long enough to clean up after it, however that
 * ends.
 *
 * It reads lines from a pipe that only that process holds: `+PID` names a process group, `-PID` takes it back,
 * `folder PATH` names the folder to remove, `keep` says to leave the folder. When the pipe ends it kills every group
 * that is still named with SIGKILL, removes the folder, and ends. It ignores the terminal's signals, and has a group of
 * its own.
 */
import { rmSync } from "node:fs";
import { createInterface } from "node:readline";

/** Runs until its standard input ends. */
export async function runReaper(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
  const groups = new Set<number>();
  let folder: string | undefined;
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.startsWith("+")) groups.add(Number(line.slice(1)));
    else if (line.startsWith("-")) groups.delete(Number(line.slice(1)));
    else if (line.startsWith("folder ")) folder = line.slice("folder ".length);
    else if (line === "keep") folder = undefined;
  }
  for (const group of groups) killGroup(group);
  // Killed processes may write for a moment longer.
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/**
 * Signals a whole group, by default with SIGKILL; does nothing when it is gone. Groups 0 and 1 are refused: `kill`
 * takes them for this process's own group and for all processes.
 */
export function killGroup(group: number, signal: NodeJS.Signals = "SIGKILL"): void {
  if (!Number.isSafeInteger(group) || group <= 1) throw new Error(`${group} is no process group to signal`);
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
