/**
 * What an executable is tried with, by a runner: it says its version, checks a configuration, and serves as gateway and
 * host of one service with an application, from the first write to a verified vault.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../../src/runtime/free-ports.ts";
import type { Runner } from "./runners.ts";

export type Outcome =
  | { readonly kind: "passed"; readonly shown: string }
  | { readonly kind: "failed"; readonly why: string };

export const trialNames = ["version", "config check", "one host", "cluster"] as const;
export type TrialName = (typeof trialNames)[number];

interface Machine {
  readonly runner: Extract<Runner, { kind: "here" }>;
  readonly executable: string;
  /** Empty. */
  readonly folder: string;
}

const trials: Readonly<Record<TrialName, (machine: Machine) => Promise<string>>> = {
  version: async (machine) => {
    const { runtime, platform } = JSON.parse(await succeed(machine, "version", "--json")) as Record<string, string>;
    return `${platform}, ${runtime}`;
  },
  "config check": async (machine) => {
    await succeed(machine, "init", "checked", "--vault", "vault", "--create-vault");
    await succeed(machine, "config", "check", "checked/stead.toml");
    return "a file of `stead init`";
  },
  "one host": oneHost,
  cluster: async (machine) => {
    await succeed(machine, "demo", "--kills", "1", "--duration", "8s", "--seed", "1");
    return "`stead demo --kills 1`";
  },
};

export async function tryOut(name: TrialName, machine: Machine): Promise<Outcome> {
  mkdirSync(machine.folder, { recursive: true });
  try {
    return { kind: "passed", shown: await trials[name](machine) };
  } catch (error) {
    return { kind: "failed", why: error instanceof Error ? error.message : String(error) };
  }
}

/** A gateway and a host: a note is written, read, and in the vault. */
async function oneHost(machine: Machine): Promise<string> {
  const application = `${machine.executable} demo-app notes`;
  await succeed(machine, "init", ".", "--vault", "vault", "--create-vault", "--command", application);
  const port = await withFreePorts(join(machine.folder, "stead.toml"));
  const processes = [start(machine, "gateway"), start(machine, "host")];
  try {
    const url = `http://127.0.0.1:${port}/notes`;
    const { id } = (await answer(url, { method: "POST", body: '{"text":"kept"}' }, 201)) as { readonly id: number };
    const { text } = (await answer(`${url}/${id}`, {}, 200)) as { readonly text: string };
    if (text !== "kept") throw new Error(`the note that was written reads ${JSON.stringify(text)}`);
  } catch (error) {
    for (const { kill } of processes) kill();
    throw new Error(`${String(error)}\n${processes.map(({ said }) => said()).join("")}`, { cause: error });
  }
  for (const { end } of processes.toReversed()) await end();
  const report = await succeed(machine, "vault", "verify", "vault", "--secret-file", "stead.secret");
  return `a write through gateway and host; vault verify: ${report.trim().split("\n").at(-1) ?? ""}`;
}

/** The gateway listens a moment after it was started, and then holds the request until there is a primary. */
async function answer(url: string, request: RequestInit, status: number): Promise<unknown> {
  const until = performance.now() + answerMsMax;
  for (;;) {
    try {
      const response = await fetch(url, { ...request, headers: { connection: "close" } });
      if (response.status !== status) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
      return await response.json();
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ECONNREFUSED")) throw error;
      if (performance.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, askEveryMs));
    }
  }
}
const answerMsMax = 60_000;
const askEveryMs = 50;

/**
 * Replaces the ports of a file that `stead init` wrote, and lets requests wait for the primary of an emulated machine;
 * returns the clients' port.
 */
async function withFreePorts(file: string): Promise<number> {
  const [clients = 0, admin = 0, control = 0, data = 0] = await freePorts(4);
  const ports = { 8000: clients, 7700: admin, 7701: control, 8001: data };
  const text = readFileSync(file, "utf8").replace('#time = "30s"', 'time = "5m"');
  writeFileSync(
    file,
    Object.entries(ports).reduce((all, [from, to]) => all.replaceAll(`:${from}"`, `:${to}"`), text),
  );
  return clients;
}

function spawned({ runner, executable, folder }: Machine, args: readonly string[]): ChildProcess {
  const [program = "", ...rest] = [...runner.command, executable, ...args];
  return spawn(program, rest, {
    ...{ cwd: folder, stdio: ["ignore", "pipe", "pipe"] },
    env: { PATH: "/usr/bin:/bin", HOME: folder, ...runner.env },
  });
}

function heard(child: ChildProcess): () => string {
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return () => text;
}

function start(
  machine: Machine,
  ...args: readonly string[]
): { said: () => string; kill: () => void; end: () => Promise<void> } {
  const child = spawned(machine, args);
  const said = heard(child);
  const exited = once(child, "exit");
  return {
    said,
    kill: () => void child.kill("SIGKILL"),
    end: async () => {
      child.kill("SIGTERM");
      const [code] = (await exited) as [number | null];
      if (code !== 0) throw new Error(`stead ${args.join(" ")} ended with ${code}:\n${said()}`);
    },
  };
}

async function succeed(machine: Machine, ...args: readonly string[]): Promise<string> {
  const child = spawned(machine, args);
  const said = heard(child);
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`stead ${args.join(" ")} ended with ${code}:\n${said()}`);
  return said();
}
