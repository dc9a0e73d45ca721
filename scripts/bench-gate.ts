/**
 * `bun run bench:gate`: the cost of the gate for a writer. The notes application (synchronous=FULL) alone, and the same
 * under `stead host` with a vault on the same disk, both up all the time, loaded in turns: bare, gated, bare, gated, …
 *
 * The last line with --json: {"bench":"gate","app":"notes","rounds":N,"seconds":N,"results":[{"clients":N,
 * "bare":{"writes_per_second","p50_ms","p99_ms"},"gated":{the same},
 * "ratio":{"writes_per_second","p50","p99"} (gated / bare, medians of the rounds),
 * "spread":[lowest, highest] (of the rounds' ratio of writes per second)}]}
 */
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoApplication } from "../harness/applications.ts";
import { Cluster } from "../harness/cluster.ts";
import { freePorts } from "../src/runtime/free-ports.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { figures, median, parseBenchArguments, rounded, type WriteFigures, writeFor } from "./bench-support.ts";

const clientCounts = [1, 16] as const;
const textBytes = 200;
const options = parseBenchArguments({ rounds: 5, seconds: 2 });
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);

const folder = mkdtempSync(join(tmpdir(), "stead-bench-gate-"));
const keeper = new ProcessKeeper(folder);
try {
  const [bareUrl, gatedUrl] = await startBoth();
  const results = [];
  for (const clients of clientCounts) results.push(await compare(clients, bareUrl, gatedUrl));
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ bench: "gate", app: "notes", rounds: options.rounds, seconds: options.seconds, results })}\n`,
    );
} finally {
  await keeper.close(2000);
}

async function startBoth(): Promise<[bare: string, gated: string]> {
  const application = demoApplication("notes", folder);
  const [port] = await freePorts(1);
  const data = join(folder, "bare");
  mkdirSync(data);
  const environment = ["env", `PORT=${port}`, `DATA_DIR=${data}`] as const;
  await keeper.start([...environment, ...application.command], data, join(folder, "bare.log"));
  const cluster = await Cluster.create({
    folder,
    service: "notes",
    application,
    hosts: 1,
    gateways: 0,
    keeper,
    clock: systemClock,
  });
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error("the cluster has no host");
  await cluster.start(host);
  const never = new AbortController().signal;
  await cluster.whenWhole(30_000, never);
  const bare = `http://127.0.0.1:${port}`;
  await cluster.until(
    "the bare application",
    30_000,
    never,
    () => "no answer",
    () =>
      fetch(`${bare}${application.readyPath}`).then(
        () => true,
        () => undefined,
      ),
  );
  return [bare, host.dataUrl];
}

async function compare(clients: number, bareUrl: string, gatedUrl: string): Promise<object> {
  const rounds: { bare: WriteFigures; gated: WriteFigures }[] = [];
  const forMs = 1000 * options.seconds;
  const body = (nth: number): string => JSON.stringify({ text: `${nth} `.padEnd(textBytes, "x") });
  const measure = async (url: string): Promise<WriteFigures> =>
    figures(await writeFor(`${url}/notes`, clients, forMs, body), forMs);
  for (const url of [bareUrl, gatedUrl]) await writeFor(`${url}/notes`, clients, 500, body);
  for (let round = 0; round < options.rounds; round += 1)
    rounds.push({ bare: await measure(bareUrl), gated: await measure(gatedUrl) });
  const middle = (side: "bare" | "gated"): WriteFigures => ({
    writes_per_second: median(rounds.map((round) => round[side].writes_per_second)),
    p50_ms: median(rounds.map((round) => round[side].p50_ms)),
    p99_ms: median(rounds.map((round) => round[side].p99_ms)),
  });
  const [bare, gated] = [middle("bare"), middle("gated")];
  const perRound = rounds
    .map((round) => round.gated.writes_per_second / round.bare.writes_per_second)
    .sort((a, b) => a - b);
  const ratio = {
    writes_per_second: rounded(gated.writes_per_second / bare.writes_per_second),
    p50: rounded(gated.p50_ms / bare.p50_ms),
    p99: rounded(gated.p99_ms / bare.p99_ms),
  };
  const line = (name: string, one: WriteFigures): string =>
    `  ${name.padEnd(6)} ${one.writes_per_second.toFixed(0).padStart(7)} writes/s   p50 ${one.p50_ms.toFixed(2).padStart(7)} ms   p99 ${one.p99_ms.toFixed(2).padStart(7)} ms`;
  say(
    `${clients} client${clients === 1 ? "" : "s"}, medians of ${options.rounds} rounds of ${options.seconds} s each:`,
  );
  say(line("bare", bare));
  say(line("gated", gated));
  say(
    `  ratio  ${ratio.writes_per_second.toFixed(2)}x writes/s   ${ratio.p50.toFixed(2)}x p50   ${ratio.p99.toFixed(2)}x p99`,
  );
  return { clients, bare, gated, ratio, spread: [rounded(perRound[0] ?? 0), rounded(perRound.at(-1) ?? 0)] };
}
