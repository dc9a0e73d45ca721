/**
 * `bun run bench:size`: does the size of the database matter? Two clusters with the notes application, one with a small
 * and one with a large database (incompressible content), both up all the time, in the same run:
 * - failover from a warm secondary: the primary is killed in turns, small, large, small, …; the clients' gap is
 *   measured.
 * - a checkpoint in which every chunk of the large database is new, with writers before and during it.
 *
 * `--repetitions N` kills of each (5), `--small N` and `--large N` MiB (10 and 1024), `--seconds N` of writes before
 * the checkpoint (10). Needs about four times the large size on the disk of the temporary folder.
 *
 * The last line with --json:
 * {"bench":"size","repetitions":N,"failover":[{"mib":N,"gap_ms":{"p50","max"},"start_ms":{…}, "without_start_ms":{…}}
 * for small and large],"failover_ratio":large/small of the gap's p50 (goal: at most 1.3),
 * "checkpoint":{"mib","ms","chunks_written","chunks_reused","before":{"writes_per_second","p50_ms","p99_ms"},
 * "during":{…},"p99_ratio":during/before (goal: at most 2)}}
 */
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoApplication } from "../harness/applications.ts";
import { Cluster, type HostMember } from "../harness/cluster.ts";
import { GatewayView } from "../harness/gateway-view.ts";
import { History } from "../harness/history.ts";
import { Load } from "../harness/load.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";
import { figures, median, once, parseBenchArguments, rounded, type WriteFigures, writePaced } from "./bench-support.ts";
import { fill, rewrite } from "./size-bench/filler.ts";

const never = new AbortController().signal;
const withinMs = 180_000;
const writers = 4;
/** Only the checkpoint that is asked for: nothing is due by itself. */
const hostExtra = `\n[host.checkpoint]\ninterval = "1d"\njournal = "100GiB"\nrestore_budget = "1d"\n`;

const options = parseBenchArguments({ repetitions: 5, small: 10, large: 1024, seconds: 10 });
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);

interface Side {
  readonly mib: number;
  readonly cluster: Cluster;
  readonly view: GatewayView;
  readonly url: string;
  readonly gaps: number[];
  readonly starts: number[];
  runs: number;
}

const folder = mkdtempSync(join(tmpdir(), "stead-bench-size-"));
const keeper = new ProcessKeeper(folder);
try {
  const sides = [await openSide(options.small), await openSide(options.large)];
  for (let turn = 0; turn < options.repetitions; turn += 1) for (const side of sides) await killOnce(side);
  const failover = sides.map(summaryOf);
  const ratio = rounded((failover[1]?.gap_ms.p50 ?? 0) / (failover[0]?.gap_ms.p50 ?? 1));
  for (const one of failover)
    say(
      `${one.mib} MiB: gap p50 ${one.gap_ms.p50} ms, max ${one.gap_ms.max} ms; without the application's start p50 ${one.without_start_ms.p50} ms`,
    );
  say(`failover, large / small: ${ratio}x (goal: at most 1.3x)`);
  const [, large] = sides;
  if (large === undefined) throw new Error("no large side");
  const checkpoint = await checkpointUnderWrites(large).catch((error: unknown) => {
    say(large.cluster.logTails());
    throw error;
  });
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ bench: "size", repetitions: options.repetitions, failover, failover_ratio: ratio, checkpoint })}\n`,
    );
} finally {
  await keeper.close(5000);
}

async function openSide(mib: number): Promise<Side> {
  const own = join(folder, `${mib}-mib`);
  mkdirSync(own);
  const application = demoApplication("notes", own);
  const cluster = await Cluster.create({
    folder: own,
    service: "notes",
    application,
    hosts: 2,
    gateways: 1,
    keeper,
    clock,
    hostExtra,
  });
  const [gateway] = cluster.gateways;
  const [first] = cluster.hosts;
  if (gateway === undefined || first === undefined) throw new Error("no cluster");
  await fill(join(first.folder, "data", "notes.db"), mib);
  const startedAt = clock.now();
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  await cluster.whenWhole(withinMs, never);
  const view = new GatewayView(gateway.adminUrl, cluster.secret, "notes", clock);
  await cluster.until(
    "the gateway",
    withinMs,
    never,
    () => "",
    async () => ((await view.isServing().catch(() => false)) ? true : undefined),
  );
  say(`${mib} MiB: bootstrapped, one secondary warm, after ${((clock.now() - startedAt) / 1000).toFixed(1)} s`);
  return { mib, cluster, view, url: gateway.url, gaps: [], starts: [], runs: 0 };
}

async function killOnce(side: Side): Promise<void> {
  const { cluster, view, url } = side;
  const primary = await cluster.whenWhole(withinMs, never);
  const known = (await view.failovers()).at(-1)?.order ?? 0;
  side.runs += 1;
  const model = demoApplication("notes", folder).makeModel(`s${side.runs}`, 8);
  const load = new Load({
    urls: [url],
    model,
    history: new History(),
    clock,
    seed: side.runs,
    workers: 8,
    requestsPerSecond: 200,
    timeoutMs: 30_000,
  });
  await load.start();
  while (load.meter.count < 200) await clock.sleep(10);
  const killedAt = clock.now();
  primary.process?.signal("SIGKILL");
  const recorded = await cluster.until(
    "the failover",
    withinMs,
    never,
    () => "",
    async () => (await view.failovers()).find(({ order }) => order > known),
  );
  await clock.sleep(500);
  await load.stop();
  side.gaps.push(load.meter.longestGap(killedAt, clock.now()).ms);
  side.starts.push(recorded.phases.start);
  await load.close();
  await restart(cluster, primary);
  say(
    `${side.mib} MiB: ${primary.id} killed, gap ${side.gaps.at(-1)?.toFixed(0)} ms, of it the application's start ${recorded.phases.start.toFixed(0)} ms`,
  );
}

async function restart(cluster: Cluster, host: HostMember): Promise<void> {
  await host.process?.ended;
  const startedAt = clock.now();
  await cluster.start(host);
  await cluster.whenWhole(withinMs, never);
  say(`  ${host.id} is a secondary again after ${((clock.now() - startedAt) / 1000).toFixed(1)} s`);
}

interface Spread {
  readonly p50: number;
  readonly max: number;
}

function spreadOf(values: readonly number[]): Spread {
  return { p50: rounded(median(values), 1), max: rounded(Math.max(...values), 1) };
}

function summaryOf(side: Side): { mib: number; gap_ms: Spread; start_ms: Spread; without_start_ms: Spread } {
  const without = side.gaps.map((gap, index) => gap - (side.starts[index] ?? 0));
  return {
    mib: side.mib,
    gap_ms: spreadOf(side.gaps),
    start_ms: spreadOf(side.starts),
    without_start_ms: spreadOf(without),
  };
}

async function checkpointUnderWrites({ cluster, url, mib }: Side): Promise<object> {
  const primary = await cluster.whenWhole(withinMs, never);
  const rewrittenAt = clock.now();
  await rewrite(join(primary.folder, "data", "notes.db"), () => writePaced(`${url}/notes`, 1, once()));
  await cluster.whenWhole(withinMs, never);
  const write = (forMs: () => boolean): Promise<number[]> => writePaced(`${url}/notes`, writers, forMs);
  say(
    `${mib} MiB written over by the application, and journaled, in ${((clock.now() - rewrittenAt) / 1000).toFixed(1)} s`,
  );
  const beforeMs = 1000 * options.seconds;
  const before = figures(await write(untilTime(beforeMs)), beforeMs);
  const startedAt = clock.now();
  let isRunning = true;
  const [answer, latencies] = await Promise.all([
    cluster
      .clientOf(primary)
      .checkpoint()
      .finally(() => (isRunning = false)),
    write(() => isRunning),
  ]);
  if (answer.kind !== "ok") throw new Error(`the checkpoint: ${JSON.stringify(answer)}`);
  const during = figures(latencies, clock.now() - startedAt);
  const { ms, chunksWritten, chunksReused } = answer.value;
  const ratio = rounded(during.p99_ms / before.p99_ms);
  const line = (name: string, one: WriteFigures): string =>
    `  ${name}: ${one.writes_per_second} writes/s, p50 ${one.p50_ms} ms, p99 ${one.p99_ms} ms`;
  say(
    `checkpoint of ${mib} MiB in ${(ms / 1000).toFixed(1)} s, ${chunksWritten} chunks written, ${chunksReused} reused`,
  );
  say(`${line("before", before)}\n${line("during", during)}\np99 during / before: ${ratio}x (goal: at most 2x)`);
  return { mib, ms, chunks_written: chunksWritten, chunks_reused: chunksReused, before, during, p99_ratio: ratio };
}

function untilTime(forMs: number): () => boolean {
  const end = clock.now() + forMs;
  return () => clock.now() < end;
}
