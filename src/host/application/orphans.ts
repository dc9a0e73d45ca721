/**
 * Reaps orphans if this host is the first process of a container: that process is the parent of every orphan and must
 * collect its exit code, otherwise the dead stay in the table (zombies) until the container has no room for a new
 * process.
 *
 * Node and Bun have no call for it, so the C library is called (`bun:ffi`), for one process at a time and never for
 * "any": the runtime waits for its own children by number, and would lose one that was collected first. Therefore only
 * processes that were dead at two looks in a row are collected. The runtime learns of its own children within one turn
 * of its event loop, and there is a second between the looks.
 *
 * Under a runtime without `bun:ffi` it says so: a container then needs an init (`docker run --init`, tini).
 */
import { childrenOf, processRow } from "./process-table.ts";

const lookMs = 1_000;
/** Return at once (sys/wait.h). */
const noHang = 1;

/** Starts if this process is the first one. `onWarning`: it cannot. */
export async function reapOrphans(onWarning: (text: string) => void): Promise<void> {
  if (process.pid !== 1 || process.platform !== "linux") return;
  const wait = await loadWait();
  if (wait === undefined)
    return onWarning(
      "this host is process 1 and cannot reap dead processes: start it with an init (docker run --init, tini)",
    );
  let dead: ReadonlySet<string> = new Set();
  const timer = setInterval(() => {
    const now = new Set<string>();
    for (const pid of childrenOf(process.pid)) {
      const row = processRow(pid);
      if (row?.isDefunct !== true) continue;
      const key = `${pid} ${row.born}`;
      if (dead.has(key)) wait(pid);
      else now.add(key);
    }
    dead = now;
  }, lookMs);
  timer.unref();
}

/** Returns undefined if the C library is not available. */
async function loadWait(): Promise<((pid: number) => void) | undefined> {
  if (!("Bun" in globalThis)) return undefined;
  const { dlopen } = await import("bun:ffi");
  for (const library of ["libc.so.6", "libc.so", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"]) {
    try {
      const { symbols } = dlopen(library, { waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" } });
      return (pid) => void symbols.waitpid(pid, null, noHang);
    } catch {
      // The other C library.
    }
  }
  return undefined;
}
