/**
 * `bun run soak:liveness`: looks for false alarms. A cluster at default settings (three hosts, one gateway) whose
 * application has one thread, under a steady load; beside it requests that compute for 40 s and requests that sleep for
 * 5 s, during which no other request is answered. Every two minutes all processes of the cluster are stopped for 3 s,
 * as a paused machine is, and half of the time every core has a busy loop. None of this is a reason to restart the
 * application or to replace its host.
 *
 * `--minutes N` (60, may be a fraction), `--rate N` requests per second (40), `--logs FOLDER` for the logs of a run
 * that was not good, `--json`.
 *
 * The last line with --json:
 * {"soak":"liveness","good":B,"minutes":N,"restarts":N,"stuck":N,"failovers":N,"computed":N,"slept":N,"pauses":N,
 * "answered":N,"not_answered":[…]}. `computed` and `slept`: such requests that were answered. Exit code 1 when there
 * was a restart, an event or a line of a log about an application that is stuck, or a failover; also when a request
 * that was slow was cut, or none was made.
 */
import { cpSync, mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type ChildProcess, spawn } from "node:child_process";
import { descendantsOf } from "../harness/process-table.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { Beside, Stage } from "../test/e2e/misbehaviour/stage.ts";
import { numberWithin, orEnd, readOptions } from "./lib/options.ts";

const computeSeconds = 40;
const sleepSeconds = 5;
/** From the end of one slow request to the next. */
const computeEveryMs = 45_000;
const sleepEveryMs = 11_000;
/** Longer than a request waits behind a computing one that waits behind another, and the pause. */
const slowWithinMs = 180_000;
const pauseEveryMs = 120_000;
const pauseMs = 3_000;
const busyEveryMs = 90_000;
const sayEveryMs = 30_000;

const values = readOptions({
  minutes: { type: "string", default: "60" },
  rate: { type: "string", default: "40" },
  logs: { type: "string" },
  json: { type: "boolean", default: false },
});
const number = (name: "minutes" | "rate", min: number, max: number): number =>
  orEnd(() => numberWithin(name, values[name], min, max));
const minutes = number("minutes", 0.5, 24 * 60);
const rate = number("rate", 1, 1000);
const say = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);

const counts = { computed: 0, slept: 0, pauses: 0 };
const cut: string[] = [];
const over = new AbortController();
const stage = await Stage.open();
try {
  await soak();
} finally {
  await stage.close();
}

async function soak(): Promise<void> {
  const startedAt = systemClock.now();
  const epoch = await stage.epoch();
  const beside = new Beside(stage, { clients: 20, perSecond: rate });
  const work = [
    slowClient("/burn", computeSeconds, computeEveryMs, "computed"),
    slowClient("/sleep", sleepSeconds, sleepEveryMs, "slept"),
    pauseAll(),
    keepBusy(),
    sayHowItGoes(startedAt),
  ];
  await systemClock.sleep(minutes * 60_000);
  over.abort();
  await Promise.all(work);
  await beside.stop();

  const restarts = stage.starts - 1;
  const failovers = (await stage.epoch()) - epoch;
  const alarms = await alarmsOfAll();
  const good =
    restarts === 0 &&
    failovers === 0 &&
    alarms.length === 0 &&
    cut.length === 0 &&
    counts.computed > 0 &&
    counts.slept > 0;
  for (const line of [...alarms, ...cut]) say(`  WRONG ${line}`);
  for (const failure of beside.failures.slice(0, 10)) say(`  not answered: ${failure}`);
  const { answered, failures } = beside;
  say(
    `${good ? "good" : "NOT GOOD"}: in ${minutes} minutes ${restarts} restarts, ${alarms.length} alarms, ${failovers} failovers; ${counts.computed} computed, ${counts.slept} slept, ${counts.pauses} pauses, ${answered} answered, ${failures.length} not`,
  );
  if (values.json) {
    const found = {
      soak: "liveness",
      good,
      minutes,
      restarts,
      stuck: alarms.length,
      failovers,
      ...counts,
      answered,
      not_answered: failures.slice(0, 10),
    };
    process.stdout.write(`${JSON.stringify(found)}\n`);
  }
  if (!good && values.logs !== undefined) keepLogs(values.logs);
  process.exitCode = good ? 0 : 1;
}

/** Sleeps, or less when the run is over. */
async function wait(ms: number): Promise<void> {
  await systemClock.sleep(ms, over.signal).catch(() => undefined);
}

async function slowClient(
  path: string,
  seconds: number,
  everyMs: number,
  counted: "computed" | "slept",
): Promise<void> {
  while (!over.signal.aborted) {
    try {
      const { status, text } = await stage.ask("GET", `${path}?s=${seconds}`, slowWithinMs);
      if (status === 200) counts[counted] += 1;
      else cut.push(`GET ${path} was answered with ${status}: ${text.trim()}`);
    } catch (error) {
      cut.push(`GET ${path}: ${String(error)}`);
    }
    await wait(everyMs);
  }
}

function signalAll(signal: NodeJS.Signals): void {
  const roots = [...stage.cluster.gateways, ...stage.cluster.hosts].map(({ process: started }) => started?.pid ?? 0);
  for (const pid of [...roots, ...roots.flatMap((root) => descendantsOf(root).map((mark) => mark.pid))]) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  }
}

async function pauseAll(): Promise<void> {
  await wait(pauseEveryMs / 2);
  while (!over.signal.aborted) {
    signalAll("SIGSTOP");
    await systemClock.sleep(pauseMs);
    signalAll("SIGCONT");
    counts.pauses += 1;
    await wait(pauseEveryMs);
  }
}

/** One loop per core, half of the time. */
async function keepBusy(): Promise<void> {
  while (!over.signal.aborted) {
    await wait(busyEveryMs);
    const loops = over.signal.aborted
      ? []
      : Array.from(
          { length: availableParallelism() },
          (): ChildProcess => spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" }),
        );
    await wait(busyEveryMs);
    for (const loop of loops) loop.kill("SIGKILL");
  }
}

async function sayHowItGoes(startedAt: number): Promise<void> {
  while (!over.signal.aborted) {
    await wait(sayEveryMs);
    const seconds = Math.round((systemClock.now() - startedAt) / 1000);
    say(
      `${String(seconds).padStart(5)} s  ${stage.starts - 1} restarts, ${counts.computed} computed, ${counts.slept} slept, ${counts.pauses} pauses`,
    );
  }
}

/** All reports of an application that is stuck: in the gateway's events and the hosts' logs. */
async function alarmsOfAll(): Promise<string[]> {
  const { events } = await stage.service();
  const told = events
    .filter(({ what, detail }) => /stuck/.test(`${what} ${detail}`))
    .map(({ what, host, detail }) => `event ${what} of ${host}: ${detail}`);
  const logged = stage.cluster.hosts.flatMap((host) =>
    stage
      .logOf(host)
      .split("\n")
      .filter((line) => /\bstuck\b/.test(line))
      .map((line) => `${host.id}: ${line}`),
  );
  return [...told, ...logged];
}

function keepLogs(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const { id, logFile } of [...stage.cluster.hosts, ...stage.cluster.gateways])
    cpSync(logFile, join(folder, `${id}.log`));
}
