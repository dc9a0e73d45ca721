/** Finds the descendants of a process, and whether they still live. Linux by /proc, elsewhere by `ps`. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";

interface ProcessRow {
  readonly pid: number;
  readonly parent: number;
  /** Dead, but not yet reaped. */
  readonly isDefunct: boolean;
  /** By SIGSTOP. */
  readonly isStopped: boolean;
  /** Tells a process from a later one with the same number; empty where the system does not say. */
  readonly born: string;
}

export type ProcessMark = Pick<ProcessRow, "pid" | "born">;

/** All processes that `pid` started, and those that they started. */
export function descendantsOf(pid: number): ProcessMark[] {
  const rows = allProcesses();
  const found: ProcessRow[] = [];
  const parents = new Set([pid]);
  for (let grown = true; grown; ) {
    grown = false;
    for (const row of rows) {
      if (!parents.has(row.parent) || parents.has(row.pid)) continue;
      parents.add(row.pid);
      found.push(row);
      grown = true;
    }
  }
  return found.filter((row) => !row.isDefunct);
}

/** Keeps the processes that still live. */
export function livingOf(marks: readonly ProcessMark[]): ProcessMark[] {
  const rows = new Map(allProcesses().map((row) => [row.pid, row]));
  return marks.filter((mark) => {
    const row = rows.get(mark.pid);
    return row !== undefined && !row.isDefunct && row.born === mark.born;
  });
}

/** True once the process has come to a halt after SIGSTOP. */
export function isStopped(pid: number): boolean {
  return allProcesses().some((row) => row.pid === pid && row.isStopped);
}

/** Its command line; undefined: it has ended. */
export function commandOf(pid: number): string | undefined {
  try {
    if (existsSync("/proc/self/stat")) return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
  } catch {
    return undefined;
  }
  return spawnSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).stdout?.trim() || undefined;
}

const condition = (state: string | undefined): Pick<ProcessRow, "isDefunct" | "isStopped"> => ({
  isDefunct: state?.startsWith("Z") === true || state === "X",
  isStopped: state?.startsWith("T") === true,
});

function allProcesses(): ProcessRow[] {
  return existsSync("/proc/self/stat") ? fromProc() : fromPs();
}

function fromProc(): ProcessRow[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        // The name in parentheses may hold anything: proc(5), fields count from after the last ")".
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return [{ pid: Number(name), parent: Number(fields[1]), ...condition(fields[0]), born: fields[19] ?? "" }];
      } catch {
        return []; // It ended meanwhile.
      }
    });
}

function fromPs(): ProcessRow[] {
  const output = spawnSync("ps", ["-A", "-o", "pid=,ppid=,stat="], { encoding: "utf8" }).stdout ?? "";
  return output.split("\n").flatMap((line) => {
    const [pid, parent, state] = line.trim().split(/\s+/);
    return pid === undefined || pid === ""
      ? []
      : [{ pid: Number(pid), parent: Number(parent), ...condition(state), born: "" }];
  });
}
