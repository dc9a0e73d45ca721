/**
 * `bun run bench:tenants`: the cost of many databases on a host, one for each tenant and nearly all of them idle. For
 * each count two clusters at default settings on this machine, one gateway and two hosts each: one with that many
 * databases, one with a single one, which is the peer of every ratio.
 *
 * `--counts 100,1000,10000`, `--rounds N` (5) of `--writes N` (200) requests to one tenant, one after the other, in
 * turns.
 *
 * start: from the start of the first host with its databases until it is primary, the first checkpoint with it;
 * restore: until the second one follows; failover: from the kill of the primary's process group until the gateway
 * answers a write. RSS, descriptors and CPU (of one processor, in 5 s without a request) are those of the primary's
 * host process. The last line with --json: {"bench":"tenants","results":[{"databases":N,"request_p50_ms":N,
 * "request_ratio":N (p50, median of the rounds, by that of one database), "sweep_p50_ms":N (each request to another
 * tenant, which was idle),"start_s":N,"restore_s":N,"failover_s":N, "rss_mb":N,"idle_cpu_percent":N,"descriptors":N,
 * "peer":{the same of the single database}}]}
 */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { DemoApplication } from "../harness/applications.ts";
import { Cluster, type HostMember } from "../harness/cluster.ts";
import { HttpCaller } from "../harness/http-call.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { systemClock as clock } from "../src/runtime/clock.ts";
import { median, percentile, rounded } from "./bench-support.ts";
import { orEnd, readOptions, wholeNumber } from "./lib/options.ts";

const idleMs = 5_000;
/** Time until the databases that were read at the start are idle. */
const settleMs = 8_000;
const withinMs = 600_000;
const ticksPerSecond = 100;
const never = new AbortController().signal;

const options = readArguments();
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
const application: DemoApplication = {
  command: [process.execPath, join(import.meta.dirname, "bench-tenants-application.ts")],
  database: "tenants/*.db",
  readyPath: "/health",
  readPath: "/health",
  makeModel: () => {
    throw new Error("this application has no model");
  },
};

interface Figures {
  start_s: number;
  restore_s: number;
  failover_s: number;
  rss_mb: number;
  idle_cpu_percent: number;
  descriptors: number;
}

interface World {
  readonly cluster: Cluster;
  readonly url: string;
  readonly primary: HostMember;
  readonly figures: Figures;
  close(): Promise<void>;
}

const results = [];
for (const count of options.counts) results.push(await measure(count));
if (options.json) process.stdout.write(`${JSON.stringify({ bench: "tenants", results })}\n`);

async function measure(databases: number): Promise<object> {
  const [one, many] = [await begin(1), await begin(databases)];
  try {
    await clock.sleep(settleMs);
    for (const world of [one, many]) await look(world);
    const rounds: { one: number; many: number }[] = [];
    for (const world of [one, many]) await requestsTo(world.primary.dataUrl, options.writes, () => 0);
    for (let round = 0; round < options.rounds; round += 1) {
      rounds.push({
        one: await requestsTo(one.primary.dataUrl, options.writes, () => 0),
        many: await requestsTo(many.primary.dataUrl, options.writes, () => 0),
      });
    }
    const sweep = await requestsTo(
      many.primary.dataUrl,
      Math.min(databases, options.writes),
      (nth) => Math.floor((nth * databases) / options.writes) % databases,
    );
    for (const world of [one, many]) world.figures.failover_s = await failOver(world, world === one ? 1 : databases);
    const [p50One, p50Many] = [median(rounds.map((round) => round.one)), median(rounds.map((round) => round.many))];
    const result = {
      databases,
      request_p50_ms: rounded(p50Many),
      request_ratio: rounded(p50Many / p50One),
      sweep_p50_ms: rounded(sweep),
      ...many.figures,
      peer: { request_p50_ms: rounded(p50One), ...one.figures },
    };
    say(`${databases} databases, with 1 in brackets:`);
    say(
      `  request   p50 ${rounded(p50Many)} ms (${rounded(p50One)}), ratio ${rounded(p50Many / p50One)}; each to another tenant ${rounded(sweep)} ms`,
    );
    for (const name of Object.keys(one.figures) as (keyof Figures)[])
      say(`  ${name.padEnd(16)} ${many.figures[name]} (${one.figures[name]})`);
    return result;
  } finally {
    await one.close();
    await many.close();
  }
}

async function begin(databases: number): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), "stead-bench-tenants-"));
  const keeper = new ProcessKeeper(folder);
  const cluster = await Cluster.create({
    folder,
    service: "tenants",
    application,
    hosts: 2,
    gateways: 1,
    keeper,
    clock,
  });
  const [primary, secondary] = cluster.hosts;
  const [gateway] = cluster.gateways;
  if (primary === undefined || secondary === undefined || gateway === undefined)
    throw new Error("two hosts and a gateway");
  makeTenants(join(primary.folder, "data", "tenants"), databases);
  const until = async (host: HostMember, role: string): Promise<number> => {
    const startedMs = clock.now();
    await cluster.start(host);
    await cluster.until(
      `${host.id} as ${role}`,
      withinMs,
      never,
      () => "",
      async () => ((await cluster.statusOf(host))?.role === role ? true : undefined),
    );
    return rounded((clock.now() - startedMs) / 1000);
  };
  await cluster.start(gateway);
  const start_s = await until(primary, "primary");
  const restore_s = await until(secondary, "secondary");
  const figures = {
    start_s,
    restore_s,
    failover_s: Number.NaN,
    rss_mb: Number.NaN,
    idle_cpu_percent: Number.NaN,
    descriptors: Number.NaN,
  };
  return { cluster, url: gateway.url, primary, figures, close: () => keeper.close(5_000) };
}

function makeTenants(folder: string, databases: number): void {
  mkdirSync(folder);
  const first = join(folder, "0.db");
  const database = new DatabaseSync(first);
  database.exec("PRAGMA journal_mode=WAL; CREATE TABLE notes(text); INSERT INTO notes VALUES('first')");
  database.close();
  for (let at = 1; at < databases; at += 1) copyFileSync(first, join(folder, `${at}.db`));
}

/** Median of the latencies, milliseconds. */
async function requestsTo(url: string, count: number, tenantOf: (nth: number) => number): Promise<number> {
  const caller = new HttpCaller(1);
  const latencies: number[] = [];
  for (let nth = 0; nth < count; nth += 1) {
    const startedMs = performance.now();
    const { status, text } = await caller.call({
      method: "POST",
      url: `${url}/tenants/${tenantOf(nth)}`,
      body: "",
      timeoutMs: 60_000,
    });
    if (status !== 201) throw new Error(`answered ${status}: ${text.slice(0, 200)}`);
    latencies.push(performance.now() - startedMs);
  }
  caller.close();
  return percentile(
    latencies.sort((a, b) => a - b),
    0.5,
  );
}

async function look({ primary, figures }: World): Promise<void> {
  const pid = primary.process?.pid ?? 0;
  const cpu = (): number => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  };
  const [before, startedMs] = [cpu(), clock.now()];
  await clock.sleep(idleMs);
  figures.idle_cpu_percent = rounded((100_000 * (cpu() - before)) / (clock.now() - startedMs), 1);
  figures.rss_mb = Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024);
  figures.descriptors = readdirSync(`/proc/${pid}/fd`).length;
}

/** Seconds. */
async function failOver({ cluster, primary, url }: World, databases: number): Promise<number> {
  await cluster.whenWhole(withinMs, never);
  const caller = new HttpCaller(1);
  const startedMs = clock.now();
  primary.process?.signal("SIGKILL");
  const tenant = databases - 1;
  await cluster.until(
    "an answer after the kill",
    withinMs,
    never,
    () => "",
    async () => {
      const answer = await caller
        .call({ method: "POST", url: `${url}/tenants/${Math.max(0, tenant)}`, body: "", timeoutMs: 60_000 })
        .catch(() => undefined);
      return answer?.status === 201 ? true : undefined;
    },
  );
  caller.close();
  return rounded((clock.now() - startedMs) / 1000);
}

function readArguments(): { counts: readonly number[]; rounds: number; writes: number; json: boolean } {
  const values = readOptions({
    counts: { type: "string", default: "100,1000,10000" },
    rounds: { type: "string", default: "5" },
    writes: { type: "string", default: "200" },
    json: { type: "boolean", default: false },
  });
  return orEnd(() => ({
    counts: values.counts.split(",").map((count) => wholeNumber("counts", count, 1)),
    rounds: wholeNumber("rounds", values.rounds, 1),
    writes: wholeNumber("writes", values.writes, 1),
    json: values.json,
  }));
}
