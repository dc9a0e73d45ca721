/**
 * Runs SQLite's check of the databases that are to become the first checkpoint, in a separate process.
 *
 * A check reads every page in one SQLite call, minutes for a large file: here it would stop the control API and the
 * lease. A damaged file may also crash it; then only that process ends, and the file is named.
 */
import { cleanEnvironment } from "../../runtime/clean-environment.ts";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { CheckDepth, CheckedDatabase } from "../../capture/integrity.ts";

export interface IntegrityCheckOptions {
  /** Starts the process (`stead database-checker`); the folder and the depth are added. */
  readonly command: readonly [string, ...string[]];
  readonly root: string;
  readonly depth: CheckDepth;
  readonly names: readonly string[];
  readonly onProgress: (checked: number) => void;
  readonly signal: AbortSignal;
}

/** Rejects with the signal's reason, or if the process cannot be started. The process has ended when it settles. */
export async function checkDatabases({
  command: [program, ...args],
  root,
  depth,
  names,
  onProgress,
  signal,
}: IntegrityCheckOptions): Promise<CheckedDatabase[]> {
  signal.throwIfAborted();
  if (names.length === 0) return [];
  const checked: CheckedDatabase[] = [];
  const child = spawn(program, [...args, root, depth], {
    env: cleanEnvironment(process.env),
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "close") as Promise<[code: number | null, signal: string | null]>;
  ended.catch(() => undefined);
  const kill = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  try {
    child.stdin.on("error", () => undefined); // It ended before it had read them all: seen below.
    child.stdin.end(names.map((name) => `${JSON.stringify(name)}\n`).join(""));
    for await (const line of createInterface({ input: child.stdout })) {
      checked.push(JSON.parse(line) as CheckedDatabase);
      onProgress(checked.length);
    }
    const [code, by] = await ended;
    signal.throwIfAborted();
    const missing = names[checked.length];
    if (missing !== undefined)
      checked.push({
        name: missing,
        kind: "damaged",
        found: [`SQLite did not get through it: the check ended with ${by ?? `exit code ${code}`}`],
      });
    return checked;
  } finally {
    signal.removeEventListener("abort", kill);
    kill();
    await ended.catch(() => undefined);
  }
}
