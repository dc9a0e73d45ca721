/**
 * The activity of an application's processes, from /proc (proc(5)): CPU time, what each thread is doing, and where in
 * the kernel it waits. It serves the decision whether the application is stuck (src/core/host/liveness.ts), and the
 * evidence for operators.
 *
 * All of it is read synchronously, about a millisecond for an application of ordinary size, and only while a check is
 * not answered. Without /proc the result is "unknown", never "nothing".
 */
import { readdirSync, readFileSync } from "node:fs";
import { processesOfGroup } from "./process-table.ts";

/** USER_HZ, the unit of proc(5): 100 on every system that Linux runs on today. */
const msPerTick = 10;
/** Largest number of threads examined per process. */
const threadsMax = 256;
/** Limits of the evidence: processes, and kinds of threads of each. */
const shown = { processes: 8, kindsOfThreads: 6, commandCharacters: 80 } as const;

export interface Activity {
  /** Of all its processes seen so far; undefined: unknown on this system. */
  readonly cpuMs: number | undefined;
  /** A thread runs or waits for a processor. */
  readonly isRunnable: boolean;
}

/** The CPU time of a process group as a counter that never falls: the time of ended processes stays in it. */
export class ActivityMeter {
  readonly #leader: number;
  #seen: ReadonlyMap<string, number> = new Map();
  #cpuMs = 0;

  constructor(leader: number) {
    this.#leader = leader;
  }

  read(): Activity {
    const processes = processesOfGroup(this.#leader);
    if (processes.length === 0) return { cpuMs: undefined, isRunnable: false };
    const seen = new Map(processes.map(({ pid, born }) => [`${pid} ${born}`, cpuMsOf(pid) ?? 0]));
    for (const [key, cpuMs] of seen) this.#cpuMs += Math.max(0, cpuMs - (this.#seen.get(key) ?? 0));
    this.#seen = seen;
    return {
      cpuMs: this.#cpuMs,
      isRunnable: processes.some(({ pid }) => threadsOf(pid).some((thread) => stateOf(pid, thread) === "R")),
    };
  }
}

/** Describes each process of a group: its command, CPU time, and threads. */
export function describeActivity(leader: number): string[] {
  const processes = processesOfGroup(leader).filter(({ pid }) => !isWatcher(pid));
  if (processes.length === 0) return ["none of its processes can be seen"];
  const texts = processes.slice(0, shown.processes).map(({ pid }) => describeProcessActivity(pid));
  return processes.length > shown.processes ? [...texts, `${processes.length - shown.processes} more`] : texts;
}

function describeProcessActivity(pid: number): string {
  const kinds = new Map<string, number>();
  for (const thread of threadsOf(pid)) {
    const state = stateOf(pid, thread);
    if (state === undefined) continue;
    const kind = `${stateWords[state] ?? state} in ${wchanOf(pid, thread)}`;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  const most = [...kinds].toSorted(([, a], [, b]) => b - a).slice(0, shown.kindsOfThreads);
  const threads = most.map(([kind, count]) => `${count === 1 ? "1 thread" : `${count} threads`} ${kind}`).join(", ");
  return `${pid} (${commandOf(pid)}), CPU ${((cpuMsOf(pid) ?? 0) / 1000).toFixed(2)} s: ${threads}`;
}

const stateWords: Readonly<Record<string, string>> = {
  R: "running (R)",
  S: "sleeping (S)",
  D: "waiting for a device (D)",
  T: "stopped by a signal (T)",
  t: "stopped by a debugger (t)",
  Z: "ended (Z)",
  I: "idle (I)",
};

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`).slice(0, threadsMax);
  } catch {
    return []; // It ended meanwhile.
  }
}

const stateOf = (pid: number, thread: string): string | undefined =>
  statFields(`/proc/${pid}/task/${thread}/stat`)?.[0];

function cpuMsOf(pid: number): number | undefined {
  const fields = statFields(`/proc/${pid}/stat`);
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) * msPerTick;
}

/**
 * Returns the fields of proc(5) from the third one, the state, on. The name before it, in parentheses, may contain
 * anything.
 */
function statFields(path: string): string[] | undefined {
  const stat = textOf(path);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Returns the kernel function in which a thread waits. */
function wchanOf(pid: number, thread: string): string {
  const name = textOf(`/proc/${pid}/task/${thread}/wchan`)?.trim() ?? "";
  return name === "" || name === "0" ? "an unknown place" : name;
}

function commandOf(pid: number): string {
  const command = textOf(`/proc/${pid}/cmdline`)?.split("\0").join(" ").trim() ?? "";
  return command.length > shown.commandCharacters ? `${command.slice(0, shown.commandCharacters)}…` : command;
}

/** True for a shell that watches the group (watcher.ts), which is not part of the application. */
const isWatcher = (pid: number): boolean => textOf(`/proc/${pid}/cmdline`)?.split("\0")[3] === "stead-watcher";

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
