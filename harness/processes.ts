/**
 * The child processes of a cluster: each leads a process group of its own, writes to a log file, and is named to the
 * reaper before anything else happens, so that it ends with this one.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { killGroup } from "./reaper.ts";
import { selfCommand } from "../src/runtime/self-command.ts";

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running process and its group. */
export class GroupProcess {
  readonly pid: number;
  /** Resolves when the group's leader has ended. */
  readonly ended: Promise<ProcessEnd>;
  #end: ProcessEnd | undefined;

  constructor(pid: number, child: ChildProcess, onEnd: () => void) {
    this.pid = pid;
    this.ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#end = { code, signal };
        onEnd();
        resolve(this.#end);
      });
    });
  }

  /** Undefined while it runs. */
  get end(): ProcessEnd | undefined {
    return this.#end;
  }

  /** Signals the whole group; does nothing when the leader has ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.#end === undefined) killGroup(this.pid, signal);
  }
}

export class ProcessKeeper {
  readonly #reaper: ChildProcess;
  readonly #running = new Set<GroupProcess>();

  /** `folder` is removed at the end, also when this process is killed. */
  constructor(folder: string) {
    const [program, ...args] = selfCommand();
    this.#reaper = spawn(program, [...args, "demo-app", "reaper"], {
      detached: true,
      stdio: ["pipe", "ignore", "inherit"],
    });
    this.#reaper.unref();
    this.#reaper.stdin?.on("error", () => undefined);
    this.#tell(`folder ${folder}`);
  }

  /** Starts a process; rejects when it cannot be started. Output goes to the end of `logFile`. */
  async start(command: readonly [string, ...string[]], cwd: string, logFile: string): Promise<GroupProcess> {
    const [program, ...args] = command;
    const log = openSync(logFile, "a");
    try {
      const child = spawn(program, args, { cwd, detached: true, stdio: ["ignore", log, log] });
      await new Promise<void>((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", reject);
      });
      if (child.pid === undefined) throw new Error(`${program} has no process id`);
      const pid = child.pid;
      this.#tell(`+${pid}`);
      const started: GroupProcess = new GroupProcess(pid, child, () => {
        this.#tell(`-${pid}`);
        this.#running.delete(started);
      });
      this.#running.add(started);
      return started;
    } finally {
      closeSync(log);
    }
  }

  /** Leaves the folder when everything has ended. */
  keepFolder(): void {
    this.#tell("keep");
  }

  /** Ends all processes: first by request, then by SIGKILL. The reaper removes the folder and ends. */
  async close(graceMs: number): Promise<void> {
    const running = [...this.#running];
    for (const one of running) {
      one.signal("SIGTERM");
      one.signal("SIGCONT");
    }
    const timer = setTimeout(() => running.forEach((one) => one.signal("SIGKILL")), graceMs);
    await Promise.all(running.map((one) => one.ended));
    clearTimeout(timer);
    // Nothing else may keep this process until then, and under Node it would end with this call pending.
    this.#reaper.ref();
    const gone = new Promise<void>((resolve) => this.#reaper.once("exit", () => resolve()));
    if (this.#reaper.exitCode !== null) return;
    this.#reaper.stdin?.end();
    await gone;
  }

  #tell(line: string): void {
    this.#reaper.stdin?.write(`${line}\n`);
  }
}
