/**
 * `bun run bench:gate`: the cost of the gate for a writer. The notes application (synchronous=FULL) alone; behind the
 * floor (floor-bench/floor.ts), which passes bytes on and syncs them before each answer, and does nothing else; and
 * under `stead host` with a vault on the same disk, with its log as objects, in segments, and over a vault server on
 * this machine. All are up all the time, and loaded in turns, after --warm SECONDS (10) of load each, in which their
 * code is compiled. With --data tmpfs all but the application alone have their data in memory: the vault has the
 * durability. With --vault-keys none,mac,encrypted it compares vaults without keys, with keys, and encrypted ones in
 * place of that, each with its log as objects and in segments.
 *
 * The last line with --json: {"bench":"gate","app":"notes","data":"disk","rounds":N,"seconds":N,"results":[RESULT]},
 * where RESULT is {"clients":N,"bare":{"writes_per_second","p50_ms","p99_ms"},"floor":GATED,"objects":GATED,
 * "segments":GATED,"served":GATED}, or "objects-none", "objects-mac" and so on in place of the last three. GATED has
 * the same figures, "ratio":{"writes_per_second","p50","p99"} (to bare, medians of the rounds), "spread":[lowest,
 * highest] (of the rounds' ratio of writes per second) and "cpu_us" (CPU time of the host or the floor with its
 * application for each write, which depends less than the rest on what else the machine does).
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demoApplication } from "../harness/applications.ts";
import { Cluster, type VaultKeysKind } from "../harness/cluster.ts";
import { freePort } from "../src/runtime/free-ports.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import type { LogKind } from "../src/vault/store/identity.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { cpuSeconds } from "./proxy-bench/contenders.ts";
import { figures, median, parseBenchArguments, rounded, type WriteFigures, writeFor } from "./bench-support.ts";

interface Gated {
  readonly side: string;
  readonly log: LogKind | "served";
  readonly vaultKeys: VaultKeysKind;
}

interface Started {
  readonly url: string;
  /** What is before the application, and the application if it is no child of that. */
  readonly pids: readonly number[];
}

type Round = WriteFigures & { readonly cpuUs: number };

const keyKinds = ["none", "mac", "encrypted"] as const satisfies readonly VaultKeysKind[];
const clientCounts = [1, 16] as const;
const textBytes = 200;
const options = parseBenchArguments(
  { rounds: 5, seconds: 2, warm: 10 },
  { "vault-keys": keyKinds, data: ["disk", "tmpfs"] },
);
/** Linux: a file system in memory. */
const memoryFolder = "/dev/shm";
const isInMemory = options.data?.includes("tmpfs") === true;
const compared = keyKinds.filter((kind) => options["vault-keys"]?.includes(kind));
const gates: readonly Gated[] =
  compared.length === 0
    ? (["objects", "segments", "served"] as const).map((log) => ({ side: log, log, vaultKeys: "none" }))
    : (["objects", "segments"] as const).flatMap((log) =>
        compared.map((vaultKeys) => ({ side: `${log}-${vaultKeys}`, log, vaultKeys })),
      );
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);

const folder = mkdtempSync(join(tmpdir(), "stead-bench-gate-"));
const dataFolder = isInMemory ? mkdtempSync(join(memoryFolder, "stead-bench-gate-")) : join(folder, "data");
mkdirSync(dataFolder, { recursive: true });
const keeper = new ProcessKeeper(folder);
try {
  const { url } = await startApplication("bare", folder);
  const sides = new Map<string, Started>([
    ["bare", { url, pids: [] }],
    ["floor", await startFloor()],
  ]);
  for (const gate of gates) sides.set(gate.side, await startGated(gate));
  const results = [];
  for (const clients of clientCounts) results.push(await compare(clients, sides));
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ bench: "gate", app: "notes", data: isInMemory ? "tmpfs" : "disk", rounds: options.rounds, seconds: options.seconds, results })}\n`,
    );
} finally {
  await keeper.close(2000);
  if (isInMemory) rmSync(dataFolder, { recursive: true, force: true });
}

/** Starts the application by itself, with its data in a folder of `parent`. */
async function startApplication(name: string, parent: string): Promise<Started & { readonly port: number }> {
  const application = demoApplication("notes", folder);
  const port = await freePort("applications");
  const data = join(parent, name);
  mkdirSync(data);
  const environment = ["env", `PORT=${port}`, `DATA_DIR=${data}`] as const;
  const started = await keeper.start([...environment, ...application.command], data, join(folder, `${name}.log`));
  const url = `http://127.0.0.1:${port}`;
  await whenUp(`${url}${application.readyPath}`);
  return { url, port, pids: pidsOf(started) };
}

/** Starts an application of its own behind the floor. */
async function startFloor(): Promise<Started> {
  const application = await startApplication("behind-floor", dataFolder);
  const port = await freePort("applications");
  const script = join(import.meta.dirname, "floor-bench/floor.ts");
  const command = [process.execPath, script, `${port}`, `${application.port}`, join(folder, "floor-journal")] as const;
  const started = await keeper.start(command, folder, join(folder, "floor.log"));
  const url = `http://127.0.0.1:${port}`;
  await whenUp(url);
  return { url, pids: [...pidsOf(started), ...application.pids] };
}

function pidsOf(process: { readonly pid?: number | undefined } | undefined): readonly number[] {
  return process?.pid === undefined ? [] : [process.pid];
}

async function whenUp(url: string): Promise<void> {
  const isUp = (): Promise<boolean> =>
    fetch(url).then(
      () => true,
      () => false,
    );
  while (!(await isUp())) await systemClock.sleep(20);
}

async function startGated({ side, log, vaultKeys }: Gated): Promise<Started> {
  const own = join(folder, side);
  mkdirSync(own);
  const application = demoApplication("notes", own);
  const cluster = await Cluster.create({
    folder: own,
    service: "notes",
    application,
    hosts: 1,
    gateways: 0,
    keeper,
    clock: systemClock,
    vaultKeys,
    ...(isInMemory ? { dataFolder: dataFolderOf(side) } : {}),
    ...(log === "served" ? { isVaultServed: true } : { log }),
  });
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error("the cluster has no host");
  const { signal } = new AbortController();
  await cluster.startVaultServer(signal);
  await cluster.start(host);
  await cluster.whenWhole(30_000, signal);
  return { url: host.dataUrl, pids: pidsOf(host.process) };
}

function dataFolderOf(side: string): string {
  const data = join(dataFolder, side);
  mkdirSync(data);
  return data;
}

async function compare(clients: number, sides: ReadonlyMap<string, Started>): Promise<object> {
  const rounds = new Map<string, Round[]>([...sides.keys()].map((side) => [side, []]));
  const forMs = 1000 * options.seconds;
  const body = (nth: number): string => JSON.stringify({ text: `${nth} `.padEnd(textBytes, "x") });
  for (const { url } of sides.values()) await writeFor(`${url}/notes`, clients, 1000 * options.warm, body);
  for (let round = 0; round < options.rounds; round += 1)
    for (const [side, { url, pids }] of sides) {
      const before = cpuOf(pids);
      const latencies = await writeFor(`${url}/notes`, clients, forMs, body);
      const cpuUs = (1e6 * (cpuOf(pids) - before)) / latencies.length;
      rounds.get(side)?.push({ ...figures(latencies, forMs), cpuUs });
    }
  const bareRounds = rounds.get("bare") ?? [];
  const bare = middle(bareRounds);
  say(
    `${clients} client${clients === 1 ? "" : "s"}, medians of ${options.rounds} rounds of ${options.seconds} s each:`,
  );
  say(line("bare", bare));
  const found = ["floor", ...gates.map(({ side }) => side)].map(
    (side) => [side, gated(side, rounds.get(side) ?? [], bare, bareRounds)] as const,
  );
  return { clients, bare, ...Object.fromEntries(found) };
}

function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

function gated(
  side: string,
  rounds: readonly Round[],
  bare: WriteFigures,
  bareRounds: readonly WriteFigures[],
): object {
  const found = middle(rounds);
  const ratio = {
    writes_per_second: rounded(found.writes_per_second / bare.writes_per_second),
    p50: rounded(found.p50_ms / bare.p50_ms),
    p99: rounded(found.p99_ms / bare.p99_ms),
  };
  const cpu = median(rounds.map(({ cpuUs }) => cpuUs));
  const perRound = rounds
    .map((one, round) => one.writes_per_second / (bareRounds[round]?.writes_per_second ?? Number.NaN))
    .sort((a, b) => a - b);
  say(
    `${line(side, found)}   ${ratio.writes_per_second.toFixed(2)}x writes/s ${ratio.p50.toFixed(2)}x p50 ${ratio.p99.toFixed(2)}x p99   ${cpu.toFixed(0)} us CPU a write`,
  );
  return { ...found, ratio, spread: [rounded(perRound[0] ?? 0), rounded(perRound.at(-1) ?? 0)], cpu_us: rounded(cpu) };
}

function middle(rounds: readonly WriteFigures[]): WriteFigures {
  return {
    writes_per_second: median(rounds.map((round) => round.writes_per_second)),
    p50_ms: median(rounds.map((round) => round.p50_ms)),
    p99_ms: median(rounds.map((round) => round.p99_ms)),
  };
}

function line(name: string, one: WriteFigures): string {
  return `  ${name.padEnd(18)} ${one.writes_per_second.toFixed(0).padStart(7)} writes/s   p50 ${one.p50_ms.toFixed(2).padStart(7)} ms   p99 ${one.p99_ms.toFixed(2).padStart(7)} ms`;
}
