/**
 * `bun run bench:names`: what names and outcomes of requests cost a writer. Two hosts of one application, one with
 * `host.outcomes.keep = "0s"`, are up all the time and loaded in turns: without names, with names, and with names and
 * outcomes. The bench names the requests as a gateway does. `--rounds N` (5), `--seconds N` of each turn (2), `--app
 * notes,ledger` (notes).
 *
 * The last line with --json: {"bench":"names","rounds":N,"seconds":N,"results":[{"app","clients":N,"none":F,"names":F,
 * "outcomes":F}]}, where F is {"writes_per_second","p50_ms","p99_ms","ratio" (of the writes per second to those without
 * names, median of the rounds),"spread":[lowest, highest]}.
 */
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DemoApplicationName, demoApplication } from "../harness/applications.ts";
import { Cluster } from "../harness/cluster.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { systemRandom } from "../src/runtime/random.ts";
import { figures, median, parseBenchArguments, rounded, type WriteFigures, writeFor } from "./bench-support.ts";

const apps = ["notes", "ledger"] as const;
const sides = ["none", "names", "outcomes"] as const;
type Side = (typeof sides)[number];
const clientCounts = [1, 4, 16] as const;

const options = parseBenchArguments({ rounds: 5, seconds: 2 }, { app: apps });
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
const run = Buffer.from(systemRandom.bytes(8)).toString("hex");
let named = 0;
let written = 0;

const folder = mkdtempSync(join(tmpdir(), "stead-bench-names-"));
const keeper = new ProcessKeeper(folder);
try {
  const results = [];
  for (const app of apps.filter((each) => (options.app ?? ["notes"]).includes(each))) {
    const [plain, keeping] = [await start(app, "0s"), await start(app, "10m")];
    const urls: Readonly<Record<Side, Started>> = { none: keeping, names: plain, outcomes: keeping };
    for (const clients of clientCounts) results.push(await compare(app, clients, urls));
  }
  const { rounds, seconds } = options;
  if (options.json) process.stdout.write(`${JSON.stringify({ bench: "names", rounds, seconds, results })}\n`);
} finally {
  await keeper.close(2000);
}

interface Started {
  readonly url: string;
  readonly epoch: number;
}

async function start(app: DemoApplicationName, keep: string): Promise<Started> {
  const own = join(folder, `${app}-${keep}`);
  mkdirSync(own);
  const cluster = await Cluster.create({
    ...{ folder: own, service: app, application: demoApplication(app, own), hosts: 1, gateways: 0, keeper },
    ...{ clock: systemClock, hostExtra: `[host.outcomes]\nkeep = "${keep}"\n` },
  });
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error("the cluster has no host");
  await cluster.start(host);
  await cluster.whenWhole(30_000, new AbortController().signal);
  const primary = await cluster.primary();
  if (primary === undefined) throw new Error("the cluster has no primary");
  return { url: host.dataUrl, epoch: primary.status.epoch };
}

async function compare(
  app: DemoApplicationName,
  clients: number,
  urls: Readonly<Record<Side, Started>>,
): Promise<object> {
  const rounds: Record<Side, WriteFigures[]> = { none: [], names: [], outcomes: [] };
  for (const side of sides) await write(app, side, urls[side], clients, 500);
  for (let round = 0; round < options.rounds; round += 1)
    // In turns of their order too: what one leaves behind falls on each of the others as often.
    for (const side of [...sides.slice(round % sides.length), ...sides.slice(0, round % sides.length)]) {
      const forMs = 1000 * options.seconds;
      rounds[side].push(figures(await write(app, side, urls[side], clients, forMs), forMs));
    }
  say(`${app}, ${clients} client${clients === 1 ? "" : "s"}, medians of ${options.rounds} rounds:`);
  const found = Object.fromEntries(sides.map((side) => [side, summary(side, rounds[side], rounds.none)]));
  return { app, clients, ...found };
}

function write(
  app: DemoApplicationName,
  side: Side,
  { url, epoch }: Started,
  clients: number,
  forMs: number,
): Promise<number[]> {
  const path = app === "notes" ? "/notes" : "/transfer";
  const body = (nth: number): string =>
    app === "notes"
      ? JSON.stringify({ text: `${nth} `.padEnd(200, "x") })
      : JSON.stringify({ id: `${run}-${(written += 1)}`, from: 1 + (nth % 20), to: 1 + ((nth + 1) % 20), amount: 1 });
  // A gateway sends the epoch with each request, the name with some.
  const routed = { "Stead-Epoch": String(epoch) };
  const headers = (): Record<string, string> =>
    side === "none" ? routed : { ...routed, "Stead-Request": `${run} ${(named += 1)} 0 first` };
  return writeFor(`${url}${path}`, clients, forMs, body, headers);
}

function summary(side: Side, rounds: readonly WriteFigures[], bare: readonly WriteFigures[]): object {
  const of = (value: (one: WriteFigures) => number): number => median(rounds.map(value));
  const ratios = rounds.map((one, at) => one.writes_per_second / (bare[at]?.writes_per_second ?? Number.NaN));
  const found = {
    ...{ writes_per_second: of((one) => one.writes_per_second), p50_ms: of((one) => one.p50_ms) },
    ...{ p99_ms: of((one) => one.p99_ms), ratio: rounded(median(ratios)) },
    spread: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
  };
  say(
    `  ${side.padEnd(9)} ${found.writes_per_second.toFixed(0).padStart(6)} writes/s   p50 ${found.p50_ms.toFixed(2)} ms   p99 ${found.p99_ms.toFixed(2)} ms   ${found.ratio.toFixed(3)} [${found.spread.join(", ")}]`,
  );
  return found;
}
