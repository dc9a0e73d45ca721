/**
 * `bun run bench:restore`: how fast a database becomes a checkpoint, and comes back from it, beside `cp` and a sync of
 * the same file in the same run. Half of its content is random, half compresses well.
 *
 * - bootstrap: from the start of the host that brings the database to its application's first answer.
 * - checkpoint: of the database once all of it was written over, so that every chunk is new (random content).
 * - secondary: from the start of a host without data until it follows.
 * - restore: `stead vault restore` into an empty folder.
 *
 * A copy before each of them; the ratio is its time by the time of the step: 1 is as fast as the copy. `--mib N`
 * (1024), `--rounds N` of copy and restore (3), `--json`. Needs about six times the size on the disk of the temporary
 * folder.
 *
 * The last line with --json: {"bench":"restore","mib":N,"goals":{"bootstrap":0.5,…},
 * "steps":{"bootstrap":{"s":N,"copy_s":N,"ratio":N},"checkpoint":{…},"secondary":{…},"restore":{…}}}. Exit code 1 if a
 * goal was missed.
 */
import { spawn } from "node:child_process";
import { closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoApplication } from "../harness/applications.ts";
import { Cluster, type HostMember } from "../harness/cluster.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";
import { selfCommand } from "../src/runtime/self-command.ts";
import { median, once, parseBenchArguments, rounded, writePaced } from "./bench-support.ts";
import { fill, rewrite } from "./size-bench/filler.ts";

const never = new AbortController().signal;
const withinMs = 600_000;
const database = "notes.db";
const goals: Readonly<Record<string, number>> = { bootstrap: 0.5, checkpoint: 0.5, restore: 0.8 };
/** Only the checkpoint that is asked for: nothing is due by itself. */
const hostExtra = `\n[host.checkpoint]\ninterval = "1d"\njournal = "100GiB"\nrestore_budget = "1d"\n`;

interface Step {
  readonly s: number;
  readonly copy_s: number;
  readonly ratio: number;
}

const options = parseBenchArguments({ mib: 1024, rounds: 3 });
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
const folder = mkdtempSync(join(tmpdir(), "stead-bench-restore-"));
const keeper = new ProcessKeeper(folder);
try {
  const steps = await measure();
  const missed = Object.entries(steps).filter(([name, { ratio }]) => ratio < (goals[name] ?? 0));
  if (options.json) process.stdout.write(`${JSON.stringify({ bench: "restore", mib: options.mib, goals, steps })}\n`);
  process.exitCode = missed.length === 0 ? 0 : 1;
} finally {
  await keeper.close(5000);
  rmSync(folder, { recursive: true, force: true });
}

async function measure(): Promise<Record<string, Step>> {
  const cluster = await Cluster.create({
    ...{ folder, service: "notes", application: demoApplication("notes", folder), hosts: 2, gateways: 0 },
    ...{ keeper, clock, hostExtra },
  });
  const [first, second] = cluster.hosts;
  if (first === undefined || second === undefined) throw new Error("two hosts");
  const file = join(first.folder, "data", database);
  await fill(file, options.mib, { halves: true });
  const steps: Record<string, Step> = {};
  const step = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    steps[name] = await beside(name, file, work);
  };
  await step("bootstrap", async () => {
    await cluster.start(first);
    await answering(cluster, first);
  });
  await rewrite(file, () => writePaced(`${first.dataUrl}/notes`, 1, once()));
  await step("checkpoint", async () => {
    const answer = await cluster.clientOf(first).checkpoint();
    if (answer.kind !== "ok") throw new Error(`the checkpoint: ${JSON.stringify(answer)}`);
  });
  await step("secondary", async () => {
    await cluster.start(second);
    await cluster.whenWhole(withinMs, never);
  });
  const rounds: Step[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    const to = join(folder, "restored");
    rounds.push(await beside("restore", file, () => restore(to)));
    rmSync(to, { recursive: true });
  }
  return { ...steps, restore: medianOf(rounds) };
}

/** Runs a step right after a copy of the database. */
async function beside(name: string, file: string, work: () => Promise<unknown>): Promise<Step> {
  const copied = await timed(() => copy(file));
  const took = await timed(work);
  const step = { s: rounded(took), copy_s: rounded(copied), ratio: rounded(copied / took) };
  const goal = goals[name] === undefined ? "" : ` (goal: at least ${goals[name]}x)`;
  say(`${name.padEnd(10)} ${step.s} s, cp and sync ${step.copy_s} s: ${step.ratio}x as fast${goal}`);
  return step;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = clock.now();
  await work();
  return (clock.now() - startedAt) / 1000;
}

function medianOf(steps: readonly Step[]): Step {
  return {
    s: median(steps.map(({ s }) => s)),
    copy_s: median(steps.map(({ copy_s: copied }) => copied)),
    ratio: median(steps.map(({ ratio }) => ratio)),
  };
}

async function copy(file: string): Promise<void> {
  const to = join(folder, "copy.db");
  await run("cp", [file, to]);
  const copied = openSync(to, "r+");
  fsyncSync(copied);
  closeSync(copied);
  rmSync(to);
}

async function restore(to: string): Promise<void> {
  mkdirSync(to);
  const [program, ...leading] = selfCommand();
  await run(program, [...leading, "vault", "restore", join(folder, "vault"), "--to", to]);
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", resolve);
  });
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
}

/** Waits until the host's application answers a client. */
async function answering(cluster: Cluster, host: HostMember): Promise<void> {
  await cluster.until(
    `an answer of ${host.id}`,
    withinMs,
    never,
    () => "",
    async () => {
      const answer = await fetch(`${host.dataUrl}/health`).catch(() => undefined);
      return answer?.status === 200 ? true : undefined;
    },
  );
}
