/**
 * `bun run bench:files`: what files that fail over cost. In turns, by as many clients, with the same application:
 * uploads of 100 KB, and commits without a file, sent to the bare application, to a host without `files`, and to one
 * with it; uploads also to the application behind the floor (floor-bench/floor.ts), which passes bytes on and syncs
 * them, and does nothing else. For each also the processor time of one upload, of the client and of everything behind
 * it, which a busy machine changes less than rates; in the first seconds much of it compiles the host's code. Then,
 * with many files in the folder: how long the first start and a failover take, and a failover of a service that has
 * two. `--seconds N` of a turn (3; 0: costs are not measured), `--turns N` (3), `--clients N` (4), `--files N` (100000;
 * 0: not measured), `--json`.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster } from "../harness/cluster.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { systemClock } from "../src/runtime/clock.ts";
import type { LogKind } from "../src/vault/store/identity.ts";
import { freePort } from "../src/runtime/free-ports.ts";
import { FilesClient, filesApplication, filesKeys } from "../test/e2e/files/client.ts";
import { median, parseBenchArguments, rounded } from "./bench-support.ts";
import { processorMs } from "./files-bench/processor-time.ts";

const { seconds, turns, clients, files, json } = parseBenchArguments({
  seconds: 3,
  turns: 3,
  clients: 4,
  files: 100_000,
});
const never = new AbortController().signal;
const wholeWithinMs = 300_000;
const uploadBytes = 100_000;
/**
 * The cost beside the application as in bench:gate, with its log in segments: without a proxy, and without another host
 * on the same machine.
 */
const alone = { hosts: 1, gateways: 0, log: "segments" } as const;
/** From one takeover to the next kill. */
const tenureMs = 3_000;
/** Uploads so far: each has a name of its own. */
let nth = 0;

const sides = ["bare", "floor", "without", "with"] as const;
const bare: ChildProcess[] = [];
const folder = mkdtempSync(join(tmpdir(), "stead-bench-files-"));
const keeper = new ProcessKeeper(folder);
const say = (text: string): void => void (json || console.log(text));
try {
  const costs = seconds === 0 ? undefined : await measureCosts();
  const many = files === 0 ? undefined : await measureMany();
  if (json) console.log(JSON.stringify({ costs, many }));
} finally {
  for (const child of bare) child.kill("SIGKILL");
  await keeper.close(3000);
}

interface Members {
  readonly hosts: number;
  readonly gateways: number;
  readonly log?: LogKind;
}

async function openCluster(name: string, keys: string, members: Members = { hosts: 2, gateways: 1 }): Promise<Cluster> {
  const own = join(folder, name);
  mkdirSync(own);
  return Cluster.create({
    ...{ folder: own, keeper, service: "files", ...members, clock: systemClock, lookEveryMs: 100 },
    application: filesApplication,
    hostKeys: keys,
  });
}

async function begin(cluster: Cluster): Promise<string> {
  await Promise.all([...cluster.gateways, ...cluster.hosts].map((member) => cluster.start(member)));
  await cluster.whenWhole(wholeWithinMs, never);
  return cluster.gateways[0]?.url ?? cluster.hosts[0]?.dataUrl ?? "";
}

/** What is measured: its address, and the processes behind it. */
interface Measured {
  readonly url: string;
  readonly pids: readonly number[];
}

async function startHost(name: string, keys: string): Promise<Measured> {
  const cluster = await openCluster(name, keys, alone);
  return { url: await begin(cluster), pids: cluster.hosts.map((host) => pidOf(host.process)) };
}

function pidOf(process: { readonly pid?: number | undefined } | undefined): number {
  if (process?.pid === undefined) throw new Error("a process of the measurement has not started");
  return process.pid;
}

async function startBare(name: string): Promise<Measured & { readonly port: number }> {
  const data = join(folder, name);
  mkdirSync(data);
  const port = await freePort("applications");
  const [program, ...args] = filesApplication.command;
  const child = spawn(program, args, { env: { ...process.env, PORT: String(port), DATA_DIR: data }, stdio: "ignore" });
  bare.push(child);
  const url = `http://127.0.0.1:${port}`;
  await whenHealthy(url);
  return { url, port, pids: [pidOf(child)] };
}

/** Starts an application of its own behind the floor. */
async function startFloor(): Promise<Measured> {
  const application = await startBare("behind-floor");
  const port = await freePort("applications");
  const script = join(import.meta.dirname, "floor-bench/floor.ts");
  const args = [script, String(port), String(application.port), join(folder, "floor-journal")];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  bare.push(child);
  const url = `http://127.0.0.1:${port}`;
  await whenHealthy(url);
  return { url, pids: [pidOf(child), ...application.pids] };
}

async function whenHealthy(url: string): Promise<void> {
  while ((await new FilesClient(url).call("GET", "/health")) !== 200) await systemClock.sleep(20);
}

/** Of one turn. */
interface Turn {
  readonly perSecond: number;
  /** Microseconds of processor time for a request, of the client and of the processes behind it. */
  readonly clientUs: number;
  readonly serverUs: number;
}

async function measure(
  { url, pids }: Measured,
  ask: (client: FilesClient, nth: number) => Promise<number>,
): Promise<Turn> {
  // Otherwise what the turn before has written goes to the disk while this one waits for it.
  spawnSync("sync");
  const client = new FilesClient(url);
  const used = (): number => pids.reduce((sum, pid) => sum + processorMs(pid), 0);
  const [usedBefore, own] = [used(), process.cpuUsage()];
  const until = performance.now() + seconds * 1000;
  let done = 0;
  const run = async (): Promise<void> => {
    while (performance.now() < until) {
      const status = await ask(client, (nth += 1));
      if (status !== 201) throw new Error(`${url} answered ${status}`);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, run));
  const { user, system } = process.cpuUsage(own);
  return {
    perSecond: done / seconds,
    clientUs: (user + system) / done,
    serverUs: ((used() - usedBefore) * 1000) / done,
  };
}

type Side = (typeof sides)[number];
type Turns = Record<Side, Turn[]>;

function noTurns(): Turns {
  return { bare: [], floor: [], without: [], with: [] };
}

function middle(turns: readonly Turn[], of: keyof Turn): number {
  return rounded(median(turns.map((turn) => turn[of])));
}

async function measureCosts(): Promise<Record<string, number>> {
  const measured: Record<Side, Measured> = {
    bare: await startBare("bare"),
    floor: await startFloor(),
    without: await startHost("a", ""),
    with: await startHost("b", filesKeys),
  };
  const bytes = Buffer.alloc(uploadBytes);
  const upload = (client: FilesClient, at: number): Promise<number> => {
    bytes.writeUInt32LE(at, 0);
    return client.call("PUT", `/uploads/${(at % 90) + 10}-${at}`, Buffer.from(bytes));
  };
  const note = (client: FilesClient): Promise<number> => client.call("POST", "/notes", "a note");
  const [uploads, notes] = [noTurns(), noTurns()];
  for (let turn = 0; turn < turns; turn++)
    for (const [found, ask] of [
      [uploads, upload],
      [notes, note],
    ] as const) {
      // Each host is first as often as the other.
      const order = turn % 2 === 0 ? sides : ([...sides.slice(0, 2), "with", "without"] as const);
      for (const side of order)
        if (side !== "floor" || found === uploads) found[side].push(await measure(measured[side], ask));
    }
  return tellCosts(uploads, notes);
}

function tellCosts(uploads: Turns, notes: Turns): Record<string, number> {
  const rate = (turns: readonly Turn[]): number => middle(turns, "perSecond");
  const result = {
    uploads_bare: rate(uploads.bare),
    uploads_without: rate(uploads.without),
    uploads_with: rate(uploads.with),
    uploads_of_bare: rounded(rate(uploads.with) / rate(uploads.bare)),
    uploads_floor: rate(uploads.floor),
    uploads_floor_of_bare: rounded(rate(uploads.floor) / rate(uploads.bare)),
    uploads_of_floor: rounded(rate(uploads.with) / rate(uploads.floor)),
    notes_bare: rate(notes.bare),
    notes_without: rate(notes.without),
    notes_with: rate(notes.with),
    notes_of_without: rounded(rate(notes.with) / rate(notes.without), 3),
  };
  say(
    `uploads of 100 KB per second: bare ${result.uploads_bare}, host without files ${result.uploads_without}, with files ${result.uploads_with} (${result.uploads_of_bare} of bare)`,
  );
  say(
    `the floor, a pump of bytes that syncs them before each answer: ${result.uploads_floor} (${result.uploads_floor_of_bare} of bare); the host with files is at ${result.uploads_of_floor} of it`,
  );
  say(
    `commits without a file per second: bare ${result.notes_bare}, host without files ${result.notes_without}, with files ${result.notes_with} (${result.notes_of_without} of without)`,
  );
  const us: Record<string, number> = {};
  for (const side of sides) {
    const [client, server] = [
      Math.round(middle(uploads[side], "clientUs")),
      Math.round(middle(uploads[side], "serverUs")),
    ];
    us[`upload_client_us_${side}`] = client;
    us[`upload_server_us_${side}`] = server;
    say(`processor time of an upload, ${side}: ${server} us, and ${client} us of its client`);
  }
  return { ...result, ...us };
}

async function measureMany(): Promise<Record<string, number>> {
  // The application does not start elsewhere without these.
  const without = await startWith("c", 'files = [".migrate", "secrets/*.key"]\n', 0);
  const withFiles = await startWith("d", `${filesKeys}files_max = 1000000\n`, files);
  say(`first start: with two files ${without.startMs} ms, with ${files} files ${withFiles.startMs} ms`);
  // In turns, so that the machine is the same for both.
  for (let turn = 0; turn < turns; turn++) for (const side of [without, withFiles]) await failOver(side);
  const [few, many] = [without, withFiles].map(({ failovers, primaryMb }) => ({
    ms: Math.round(median(failovers)),
    mb: median(primaryMb),
  }));
  if (few === undefined || many === undefined) throw new Error("nothing was measured");
  const ratio = rounded(many.ms / few.ms);
  say(`failover from a warm secondary: with two files ${few.ms} ms, with ${files} files ${many.ms} ms (${ratio})`);
  say(`memory of the primary: with two files ${few.mb} MB, with ${files} files ${many.mb} MB`);
  for (const { cluster } of [without, withFiles])
    for (const member of [...cluster.gateways, ...cluster.hosts]) member.process?.signal("SIGKILL");
  return {
    start_without_ms: without.startMs,
    start_with_ms: withFiles.startMs,
    failover_without_ms: few.ms,
    failover_with_ms: many.ms,
    failover_ratio: ratio,
    primary_mb_without: few.mb,
    primary_mb_with: many.mb,
  };
}

interface Service {
  readonly cluster: Cluster;
  readonly client: FilesClient;
  readonly startMs: number;
  readonly failovers: number[];
  readonly primaryMb: number[];
}

async function startWith(name: string, keys: string, count: number): Promise<Service> {
  const cluster = await openCluster(name, keys);
  const data = join(cluster.hosts[0]?.folder ?? "", "data", "uploads");
  for (let at = 0; at < count; at++) {
    const below = join(data, "many", String(at % 100));
    if (at < 100) mkdirSync(below, { recursive: true });
    writeFileSync(join(below, String(at)), `file ${at}`);
  }
  const startedAt = performance.now();
  const client = new FilesClient(await begin(cluster));
  return { cluster, client, startMs: Math.round(performance.now() - startedAt), failovers: [], primaryMb: [] };
}

async function failOver({ cluster, client, failovers, primaryMb }: Service): Promise<void> {
  // A primary that dies sooner after its takeover is braked (core/failover/brake.ts).
  await systemClock.sleep(tenureMs);
  await client.call("POST", "/notes", "before");
  const primary = await cluster.primary();
  primaryMb.push(Math.round(residentBytes(primary?.host.process?.pid) / 2 ** 20));
  const killedAt = performance.now();
  primary?.host.process?.signal("SIGKILL");
  while ((await client.call("POST", "/notes", "after")) !== 201);
  failovers.push(performance.now() - killedAt);
  await primary?.host.process?.ended;
  if (primary !== undefined) await cluster.start(primary.host);
  await cluster.whenWhole(wholeWithinMs, never);
}

/** Resident memory of a process. */
function residentBytes(pid: number | undefined): number {
  const pages = pid === undefined ? undefined : readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1];
  return Number(pages ?? 0) * 4096;
}
