/**
 * A network for one example: its machines are network namespaces with the addresses that its files name, on one bridge,
 * out of reach of everything else. Needs root and iproute2. Whatever runs in them ends with it, also when the test is
 * killed.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type ProgramRun, runProgram } from "../support/run-program.ts";

const execute = promisify(execFile);

interface Started {
  readonly folder: string;
  /** Its output goes to this file in the folder. */
  readonly log: string;
}

export class Lan {
  readonly #mark = randomBytes(3).toString("hex");
  readonly #janitor: ChildProcess;
  readonly #machines: ReadonlyMap<string, string>;

  private constructor(machines: ReadonlyMap<string, string>) {
    this.#machines = machines;
    const end = 'ip netns pids "$one" | xargs -r kill -KILL 2>/dev/null; ip netns del "$one"';
    const script = `cat >/dev/null; for one in "$@"; do ${end}; done`;
    const all = ["hub", ...machines.keys()].map((name) => this.namespaceOf(name));
    this.#janitor = spawn("sh", ["-c", script, "sh", ...all], { detached: true, stdio: ["pipe", "ignore", "ignore"] });
    this.#janitor.unref();
  }

  /** `machines`: name to address. All are in one network of 256. */
  static async create(machines: Readonly<Record<string, string>>): Promise<Lan> {
    const lan = new Lan(new Map(Object.entries(machines)));
    try {
      await lan.#build();
    } catch (error) {
      await lan.close();
      throw error;
    }
    return lan;
  }

  namespaceOf(machine: string): string {
    return `stead-${this.#mark}-${machine}`;
  }

  /** Starts a program that keeps running. */
  start(machine: string, command: readonly string[], { folder, log }: Started): ChildProcess {
    const output = openSync(join(folder, log), "a");
    const child = spawn("ip", ["netns", "exec", this.namespaceOf(machine), ...command], {
      cwd: folder,
      stdio: ["ignore", output, output],
      detached: true,
    });
    closeSync(output);
    return child;
  }

  /** Runs a program to its end. */
  run(machine: string, command: readonly string[]): Promise<ProgramRun> {
    const env = process.env as Record<string, string>;
    return runProgram("ip", ["netns", "exec", this.namespaceOf(machine), ...command], { cwd: "/", env });
  }

  /** Kills everything that runs on the machine. */
  async killAll(machine: string): Promise<void> {
    const script = 'ip netns pids "$1" | xargs -r kill -KILL';
    await execute("sh", ["-c", script, "sh", this.namespaceOf(machine)]);
  }

  async close(): Promise<void> {
    if (this.#janitor.exitCode !== null) return;
    const gone = once(this.#janitor, "exit");
    this.#janitor.stdin?.end();
    await gone;
  }

  async #build(): Promise<void> {
    const hub = this.namespaceOf("hub");
    await ip("netns", "add", hub);
    await ip("-n", hub, "link", "add", "br0", "type", "bridge");
    await ip("-n", hub, "link", "set", "br0", "up");
    let port = 0;
    for (const [machine, address] of this.#machines) {
      port += 1;
      const own = this.namespaceOf(machine);
      await ip("netns", "add", own);
      await ip(...["link", "add", "eth0", "netns", own, "type", "veth", "peer", `p${port}`, "netns", hub]);
      await ip("-n", hub, "link", "set", `p${port}`, "master", "br0", "up");
      await ip("-n", own, "address", "add", `${address}/24`, "dev", "eth0");
      await ip("-n", own, "link", "set", "eth0", "up");
      await ip("-n", own, "link", "set", "lo", "up");
    }
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  await execute("ip", [...args]);
}
