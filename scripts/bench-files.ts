/**
 * `bun run bench:files`: what files that fail over cost. In turns, by as many clients, with the same application:
 * uploads of 100 KB, and commits without a file, sent to the bare application, to a host without `files`, and to one
 * with it; uploads also to the application behind the floor (files-bench/floor.ts), which passes bytes on and syncs
 * them, and does nothing else. Then, with many files in the folder: how long the first start and a failover take, and a
 * failover of a service that has two. `--seconds N` of a turn (3; 0: costs are not measured), `--turns N` (3),
 * `--clients N` (4), `--files N` (100000; 0: not measured), `--json`.
 */
import { type ChildProcess, spawn } from "node:child_process";
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

async function startBare(name: string): Promise<{ url: string; port: number }> {
  const data = join(folder, name);
  mkdirSync(data);
  const port = await freePort("applications");
  const [program, ...args] = filesApplication.command;
  const child = spawn(program, args, { env: { ...process.env, PORT: String(port), DATA_DIR: data }, stdio: "ignore" });
  bare.push(child);
  const url = `http://127.0.0.1:${port}`;
  await whenHealthy(url);
  return { url, port };
}

/** Starts an application of its own behind the floor. */
async function startFloor(): Promise<string> {
  const application = await startBare("behind-floor");
  const port = await freePort("applications");
  const script = join(import.meta.dirname, "files-bench/floor.ts");
  const args = [script, String(port), String(application.port), join(folder, "floor-journal")];
  bare.push(spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] }));
  const url = `http://127.0.0.1:${port}`;
  await whenHealthy(url);
  return url;
}

async function whenHealthy(url: string): Promise<void> {
  while ((await new FilesClient(url).call("GET", "/health")) !== 200) await systemClock.sleep(20);
}

/** Requests per second. */
async function rate(url: string, ask: (client: FilesClient, nth: number) => Promise<number>): Promise<number> {
  const client = new FilesClient(url);
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
  return done / seconds;
}
async function measureCosts(): Promise<Record<string, number>> {
  const [bare, floor, without, withFiles] = [
    (await startBare("bare")).url,
    await startFloor(),
    await begin(await openCluster("a", "", alone)),
    await begin(await openCluster("b", filesKeys, alone)),
  ];
  const bytes = Buffer.alloc(uploadBytes);
  const upload = (client: FilesClient, at: number): Promise<number> => {
    bytes.writeUInt32LE(at, 0);
    return client.call("PUT", `/uploads/${(at % 90) + 10}-${at}`, Buffer.from(bytes));
  };
  const note = (client: FilesClient): Promise<number> => client.call("POST", "/notes", "a note");
  const found: Record<"uploads" | "notes", { bare: number[]; without: number[]; with: number[] }> = {
    uploads: { bare: [], without: [], with: [] },
    notes: { bare: [], without: [], with: [] },
  };
  const floors: number[] = [];
  for (let turn = 0; turn < turns; turn++)
    for (const [what, ask] of [
      ["uploads", upload],
      ["notes", note],
    ] as const) {
      found[what].bare.push(await rate(bare, ask));
      if (what === "uploads") floors.push(await rate(floor, ask));
      // Each is first as often as the other.
      const both = [
        (): Promise<unknown> => rate(without, ask).then((per) => found[what].without.push(per)),
        (): Promise<unknown> => rate(withFiles, ask).then((per) => found[what].with.push(per)),
      ];
      for (const measure of turn % 2 === 0 ? both : both.reverse()) await measure();
    }
  const result = {
    uploads_bare: rounded(median(found.uploads.bare)),
    uploads_without: rounded(median(found.uploads.without)),
    uploads_with: rounded(median(found.uploads.with)),
    uploads_of_bare: rounded(median(found.uploads.with) / median(found.uploads.bare)),
    uploads_floor: rounded(median(floors)),
    uploads_floor_of_bare: rounded(median(floors) / median(found.uploads.bare)),
    uploads_of_floor: rounded(median(found.uploads.with) / median(floors)),
    notes_bare: rounded(median(found.notes.bare)),
    notes_without: rounded(median(found.notes.without)),
    notes_with: rounded(median(found.notes.with)),
    notes_of_without: rounded(median(found.notes.with) / median(found.notes.without), 3),
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
  return result;
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

interface Side {
  readonly cluster: Cluster;
  readonly client: FilesClient;
  readonly startMs: number;
  readonly failovers: number[];
  readonly primaryMb: number[];
}

async function startWith(name: string, keys: string, count: number): Promise<Side> {
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

async function failOver({ cluster, client, failovers, primaryMb }: Side): Promise<void> {
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
