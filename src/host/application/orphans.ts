/**
 * The first process of a container is the parent of every orphan, and has to ask for its exit code: otherwise the dead
 * stay in the table (zombies) until the container has no room for a new process. A host that is process 1 does that
 * here.
 *
 * Node and Bun have no call for it, so that the C library is asked (`bun:ffi`), for one process at a time and never for
 * "any": the runtime waits for the processes that it started by their numbers. One of those would be lost to it if it
 * were asked for first; therefore only what was dead at two looks in a row is asked for. The runtime hears of its own
 * children within one turn of its event loop, and there is a second between the looks.
 *
 * Under a runtime without `bun:ffi` it says so: a container then needs an init (`docker run --init`, tini).
 */
import { childrenOf, processRow } from "./process-table.ts";

const lookMs = 1_000;
/** Return at once (sys/wait.h). */
const noHang = 1;

/** Starts when this process is the first one. `onWarning`: it cannot. */
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

/** undefined: there is no way to the C library. */
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
