/**
 * `bun run chaos`: real processes under drawn faults, and the judgement of all their clients' operations. `--minutes N`
 * (1; may be a fraction), `--seed N` (drawn), `--app notes|ledger|both` (both: half of the time each), `--hosts N` (3),
 * `--gateways N` (1), `--rate N` requests per second (150), `--logs FOLDER` for the logs of a run that was not good,
 * `--faults A,B` to draw only some, `--sources` to run those in place of a compiled binary that is made first,
 * `--json`. Notes get attachments, which are files beside their database (`host.files`).
 *
 * Faults: SIGKILL and SIGSTOP of hosts and gateways, SIGKILL of the application or its watcher, power failure of
 * everything, switchover, network cut both or one way, one host's vault hanging, failing, read-only or unmounted, the
 * vault frozen, slow or full, the disk of a host or gateway full; the application stopped, deadlocked, ended by a
 * request that one client asks for again and again, not able to start, without its port, with a process that leaves its
 * group; its data folder read-only. Those of the network and of disks need root on Linux; without it they are left out,
 * and the run says so.
 *
 * The last line with --json:
 * {"chaos":1,"good":B,"minutes":N,"seed":N,"runs":[{"app","good","faults":{kind:count},"failovers",
 * "converged_ms","longest_gap_ms","requests":{"ok","unknown","failed","direct"},
 * "writes":{"acknowledged","missing","phantom"},
 * "attachments":{"uploaded","downloaded","deleted"},
 * "operations","linearizable","exits":[…],"wrong":[…]}]}. Exit code 0 when every run was good.
 */
import { randomInt } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DemoApplicationName, demoApplicationNames } from "../harness/applications.ts";
import { selfCommand } from "../src/runtime/self-command.ts";
import { runCommand } from "./lib/command.ts";
import { faultNames } from "./chaos-faults.ts";
import { type ChaosResult, runChaos } from "./chaos-run.ts";
import { numberWithin, oneOf, orEnd, readOptions } from "./lib/options.ts";

const values = readOptions({
  minutes: { type: "string", default: "1" },
  seed: { type: "string", default: String(randomInt(1, 1_000_000)) },
  app: { type: "string", default: "both" },
  hosts: { type: "string", default: "3" },
  gateways: { type: "string", default: "1" },
  rate: { type: "string", default: "150" },
  logs: { type: "string" },
  faults: { type: "string", default: faultNames.join() },
  sources: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
});

const number = (name: "minutes" | "seed" | "hosts" | "gateways" | "rate", min: number, max: number): number =>
  orEnd(() => numberWithin(name, values[name], min, max));

const minutes = number("minutes", 0.05, 24 * 60);
const seed = number("seed", 0, 2 ** 31);
const app = orEnd(() => oneOf("app", values.app, [...demoApplicationNames, "both"]));
const apps = demoApplicationNames.filter((name) => app === name || app === "both");
const faults = orEnd(() => values.faults.split(",").map((name) => oneOf("faults", name, faultNames)));
const say = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);

const binaryFolder = mkdtempSync(join(tmpdir(), "stead-chaos-binary-"));
const runs: ReturnType<typeof summaryOf>[] = [];
try {
  const program = values.sources ? selfCommand() : await builtBinary(join(binaryFolder, "stead"));
  for (const app of apps) runs.push(await runOne(app, program));
} finally {
  rmSync(binaryFolder, { recursive: true, force: true });
}
const isGood = runs.every(({ good }) => good);
if (values.json) process.stdout.write(`${JSON.stringify({ chaos: 1, good: isGood, minutes, seed, runs })}\n`);
process.exitCode = isGood ? 0 : 1;

async function runOne(app: DemoApplicationName, program: readonly [string, ...string[]]) {
  say(`chaos: ${app}, seed ${seed}, ${(minutes / apps.length).toFixed(2)} minutes`);
  const result = await runChaos({
    app,
    seed,
    durationMs: (minutes * 60_000) / apps.length,
    hosts: number("hosts", 2, 9),
    gateways: number("gateways", 1, 9),
    requestsPerSecond: number("rate", 1, 2000),
    faults,
    program,
    keepLogs: logFolder(app),
    say,
  });
  const summary = summaryOf(app, result);
  for (const line of result.wrong) say(`  WRONG ${line}`);
  const { requests, writes, failovers, attachments, longest_gap_ms: gap, converged_ms: converged } = summary;
  say(
    `${app}: ${summary.good ? "good" : "NOT GOOD"}; ${JSON.stringify(result.faults)}; ${failovers} failovers; ${writes.acknowledged} writes acknowledged, ` +
      `${writes.missing} missing, ${writes.phantom} unknown that happened; ${attachments.uploaded} attachments made, ${attachments.downloaded} read, ${attachments.deleted} deleted; ${requests.ok} answers, ${requests.failed} failed, ${requests.unknown} unknown, ${requests.direct} by hosts directly; ` +
      `longest gap ${gap} ms; converged after ${converged} ms; ${summary.exits.length} ended by themselves`,
  );
  return summary;
}

async function builtBinary(file: string): Promise<[string]> {
  const { code } = await runCommand([process.execPath, join(import.meta.dirname, "build.ts"), "--outfile", file], {
    cwd: join(import.meta.dirname, ".."),
    show: false,
  });
  if (code !== 0) throw new Error("the binary could not be built: see `./scripts/build`, or use --sources");
  return [file];
}

function logFolder(app: DemoApplicationName): string | undefined {
  if (values.logs === undefined) return undefined;
  const folder = join(values.logs, `${app}-${seed}`);
  mkdirSync(folder, { recursive: true });
  return folder;
}

function summaryOf(app: DemoApplicationName, { faults, epochs, exits, convergedMs, client, wrong }: ChaosResult) {
  return {
    app,
    good: wrong.length === 0,
    faults,
    failovers: epochs,
    converged_ms: convergedMs,
    longest_gap_ms: client?.longestGapMs ?? null,
    requests: {
      ok: client?.ok ?? 0,
      unknown: client?.unknown ?? 0,
      failed: client?.failed ?? 0,
      direct: client?.direct ?? 0,
    },
    writes: { acknowledged: client?.acknowledged ?? 0, missing: client?.missing ?? 0, phantom: client?.phantom ?? 0 },
    attachments: {
      uploaded: client?.attachments?.uploaded ?? 0,
      downloaded: client?.attachments?.downloaded ?? 0,
      deleted: client?.attachments?.deleted ?? 0,
    },
    operations: client?.operations ?? 0,
    linearizable: client !== undefined && client.breaches.length === 0 && client.violations.length === 0,
    exits,
    wrong,
  };
}
