/**
 * `bun run bench:giant`: one giant transaction under `stead host` with a secondary, beside `cp` and fsync of as many
 * bytes on the same disk. Measures how long its answer waits after the commit, how long other requests wait meanwhile,
 * and how much memory the hosts need.
 *
 * The last line with --json: {"bench":"giant","mebibytes":N,"rounds":[{"copy_ms","transaction_ms","wait_ms" (commit to
 * answer), "total_ms","note_max_ms","follow_ms" (answer to the secondary's position)}],"ratio":{"wait","total"}
 * (medians, to the copy), "rss_mib":{"primary":[before,peak],"secondary":[before,peak]}}
 */
import { closeSync, copyFileSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { randomFillSync } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, type HostMember } from "../harness/cluster.ts";
import { demoApplication } from "../harness/applications.ts";
import { HttpCaller } from "../harness/http-call.ts";
import { ProcessKeeper } from "../harness/processes.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { median, parseBenchArguments, rounded } from "./bench-support.ts";

const options = parseBenchArguments({ rounds: 3, mebibytes: 600 });
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
const mebibyte = 2 ** 20;
const never = new AbortController().signal;

interface Round {
  readonly copy_ms: number;
  readonly transaction_ms: number;
  readonly wait_ms: number;
  readonly total_ms: number;
  readonly note_max_ms: number;
  readonly follow_ms: number;
}

const folder = mkdtempSync(join(tmpdir(), "stead-bench-giant-"));
const keeper = new ProcessKeeper(folder);
try {
  await run();
} finally {
  await keeper.close(5000);
}

async function run(): Promise<void> {
  const application = {
    ...demoApplication("notes", folder),
    command: [process.execPath, join(import.meta.dirname, "bench-giant-application.ts")] as [string, string],
    database: "*.db",
    readyPath: "/",
  };
  const cluster = await Cluster.create({
    folder,
    service: "giant",
    application,
    hosts: 2,
    gateways: 0,
    keeper,
    clock: systemClock,
    lookEveryMs: 50,
  });
  for (const host of cluster.hosts) await cluster.start(host);
  const primary = await whole(cluster);
  const secondary = cluster.hosts.find((host) => host !== primary);
  if (secondary === undefined) throw new Error("the cluster has no secondary");
  const before = [residentMiB(primary), residentMiB(secondary)];
  const rounds: Round[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    const one = await measure(cluster, primary, secondary);
    rounds.push(one);
    say(
      `copy ${one.copy_ms.toFixed(0)} ms   transaction ${one.transaction_ms.toFixed(0)} ms   answer ${one.wait_ms.toFixed(0)} ms after the commit   ` +
        `others waited ${one.note_max_ms.toFixed(0)} ms at most   secondary ${one.follow_ms.toFixed(0)} ms later`,
    );
  }
  const copyMs = median(rounds.map(({ copy_ms }) => copy_ms));
  const ratio = {
    wait: rounded(median(rounds.map(({ wait_ms }) => wait_ms)) / copyMs),
    total: rounded(median(rounds.map(({ total_ms }) => total_ms)) / copyMs),
  };
  const rss = {
    primary: [before[0], residentMiB(primary, "VmHWM")],
    secondary: [before[1], residentMiB(secondary, "VmHWM")],
  };
  say(
    `${options.mebibytes} MiB, medians of ${options.rounds}: the answer waits ${ratio.wait}x the copy, the request takes ${ratio.total}x`,
  );
  say(`memory before and at most, MiB: primary ${rss.primary.join(" and ")}, secondary ${rss.secondary.join(" and ")}`);
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ bench: "giant", mebibytes: options.mebibytes, rounds, ratio, rss_mib: rss })}\n`,
    );
}

async function measure(cluster: Cluster, primary: HostMember, secondary: HostMember): Promise<Round> {
  const copyMs = copy();
  const caller = new HttpCaller(2);
  let noteMaxMs = 0;
  let isOver = false;
  const notes = (async () => {
    while (!isOver) {
      const started = performance.now();
      await caller.call({ method: "POST", url: `${primary.dataUrl}/note`, body: "", timeoutMs: 120_000 });
      noteMaxMs = Math.max(noteMaxMs, performance.now() - started);
    }
  })();
  const started = performance.now();
  const answer = await caller.call({
    method: "POST",
    url: `${primary.dataUrl}/giant?mebibytes=${options.mebibytes}`,
    body: "",
    timeoutMs: 120_000,
  });
  const answeredAt = Date.now();
  const totalMs = performance.now() - started;
  if (answer.status !== 200)
    throw new Error(`/giant answered ${answer.status}: ${answer.text.slice(0, 200)}\n${cluster.logTails()}`);
  isOver = true;
  await notes;
  caller.close();
  const { committedAt, transactionMs } = JSON.parse(answer.text) as { committedAt: number; transactionMs: number };
  const position = (await cluster.statusOf(primary))?.position ?? 0;
  const follows = performance.now();
  await cluster.until(
    "the secondary",
    120_000,
    never,
    () => "behind",
    async () => ((await cluster.statusOf(secondary))?.position ?? 0) >= position || undefined,
  );
  return {
    copy_ms: copyMs,
    transaction_ms: transactionMs,
    wait_ms: answeredAt - committedAt,
    total_ms: totalMs,
    note_max_ms: noteMaxMs,
    follow_ms: performance.now() - follows,
  };
}

async function whole(cluster: Cluster): Promise<HostMember> {
  return cluster.whenWhole(30_000, never);
}

/** `cp` and fsync of as many bytes, milliseconds. */
function copy(): number {
  const [from, to] = [join(folder, "copy-from"), join(folder, "copy-to")];
  const source = openSync(from, "w");
  const content = randomFillSync(new Uint8Array(mebibyte));
  for (let i = 0; i < options.mebibytes; i += 1) writeSync(source, content);
  fsyncSync(source);
  closeSync(source);
  const started = performance.now();
  copyFileSync(from, to);
  const fd = openSync(to, "r");
  fsyncSync(fd);
  closeSync(fd);
  const took = performance.now() - started;
  for (const file of [from, to]) rmSync(file);
  return took;
}

function residentMiB(host: HostMember, line: "VmRSS" | "VmHWM" = "VmRSS"): number {
  const status = readFileSync(`/proc/${host.process?.pid}/status`, "utf8");
  return Math.round(Number(new RegExp(`${line}:\\s+(\\d+)`).exec(status)?.[1] ?? Number.NaN) / 1024);
}
