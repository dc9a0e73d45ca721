/** Real processes for the tests: a cluster in a temporary folder, and single commands with what they print. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DemoApplication, demoApplication } from "../../harness/applications.ts";
import { Cluster, type ClusterOptions } from "../../harness/cluster.ts";
import { ProcessKeeper } from "../../harness/processes.ts";
import { selfCommand } from "../../src/runtime/self-command.ts";
import { systemClock } from "../../src/runtime/clock.ts";

export const never = new AbortController().signal;

export interface Bench {
  readonly folder: string;
  readonly keeper: ProcessKeeper;
  cluster(options?: Partial<ClusterOptions>): Promise<Cluster>;
  /** A configuration file in the folder. */
  write(name: string, text: string): string;
  subfolder(name: string): string;
  close(): Promise<void>;
}

/** A temporary folder and everything that a test starts in it; close it in `afterEach`. */
export function openBench(): Bench {
  const folder = mkdtempSync(join(tmpdir(), "stead-e2e-"));
  const keeper = new ProcessKeeper(folder);
  return {
    folder,
    keeper,
    cluster(options = {}) {
      const application = options.application ?? demoApplication("notes", folder);
      return Cluster.create({
        folder,
        service: "notes",
        application,
        hosts: 2,
        gateways: 1,
        keeper,
        clock: systemClock,
        ...options,
      });
    },
    write(name, text) {
      const file = join(folder, name);
      writeFileSync(file, text, { mode: 0o600 });
      return file;
    },
    subfolder(name) {
      const path = join(folder, name);
      mkdirSync(path);
      return path;
    },
    async close() {
      await keeper.close(2000);
    },
  };
}

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly withinMs?: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `stead ARGS` to its end; one that does not end by itself is killed, and has `signal` set. */
export async function runStead(args: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
  const [program, ...leading] = selfCommand();
  const env = { ...process.env, NO_COLOR: "1", ...options.env };
  const child = spawn(program, [...leading, ...args], { env, cwd: options.cwd, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
  const timer = setTimeout(() => child.kill("SIGKILL"), options.withinMs ?? 20_000);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (endCode, endSignal) => resolve([endCode, endSignal]));
  });
  clearTimeout(timer);
  return { code, signal, ...output };
}

/** An application given as a shell script, for those that misbehave. */
export function scriptApplication(script: string, change: Partial<DemoApplication> = {}): DemoApplication {
  return {
    command: ["/bin/sh", "-c", script],
    database: "app.db",
    readyPath: "/health",
    readPath: "/",
    makeModel: () => {
      throw new Error("a script has no model");
    },
    ...change,
  };
}
