/**
 * `bun run demo:seeds`: `stead demo --json` with both example applications and several seeds, one after the other, and
 * the sums. `--runs N` seeds for each application (10), `--first N` the first seed (1), `--seconds N` of
 * load in each run (18), `--gateways N` (1), `--binary 1` uses dist/stead instead of the sources.
 *
 * The last line with --json: {"bench":"demo-seeds","runs":N,"gateways":N,"good":N,"missing":N,"zombie_acknowledged":N,
 * "failed":N,"invariant_broken":N,"writes_acknowledged":N,"unknown":N,"gateways_apart":N (runs in which the gateways
 * never had the same
 * rows),"gateways_converge_ms":S,"kinds":{"kill":{"count":N,"detect_agree_ms":S,"gap_ms":S,"gap_without_start_ms":S},
 * "hang":…,"switchover":…}} where S is {"p50","p95","max"}. Exit code 0 when every run was good.
 */
import { spawnSync } from "node:child_process";
import { selfCommand } from "../src/runtime/self-command.ts";
import type { VerdictObject } from "../src/demo/verdict.ts";
import { isGood } from "../src/demo/verdict.ts";
import { parseBenchArguments, percentile, rounded } from "./bench-support.ts";

const options = parseBenchArguments({ runs: 10, first: 1, seconds: 18, gateways: 1, binary: 0 });
const say = (line: string): void => void (options.json ? process.stderr : process.stdout).write(`${line}\n`);
const stead: readonly [string, ...string[]] = options.binary === 1 ? ["dist/stead"] : selfCommand();

const verdicts: VerdictObject[] = [];
let good = 0;
for (let seed = options.first; seed < options.first + options.runs; seed += 1) {
  for (const app of ["notes", "ledger"]) {
    const [program, ...leading] = stead;
    const args = [
      ...leading,
      "demo",
      "--json",
      "--app",
      app,
      "--seed",
      String(seed),
      "--duration",
      `${options.seconds}s`,
      "--gateways",
      String(options.gateways),
    ];
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 26 });
    const line = stdout.trim().split("\n").at(-1) ?? "";
    const verdict = line.startsWith("{") ? (JSON.parse(line) as VerdictObject) : undefined;
    if (verdict !== undefined) verdicts.push(verdict);
    const isWell = status === 0 && verdict !== undefined && isGood(verdict);
    if (isWell) good += 1;
    say(
      `${app.padEnd(6)} seed ${seed}: ${isWell ? "good" : `NOT GOOD (exit code ${status})`}  ${verdict === undefined ? "" : shortly(verdict)}`,
    );
    if (!isWell) say(stderr);
  }
}

const kinds = Object.fromEntries((["kill", "hang", "switchover"] as const).map((kind) => [kind, summaryOf(kind)]));
const sum = (value: (verdict: VerdictObject) => number): number =>
  verdicts.reduce((total, verdict) => total + value(verdict), 0);
const summary = {
  bench: "demo-seeds",
  runs: 2 * options.runs,
  gateways: options.gateways,
  good,
  missing: sum(({ writes }) => writes.missing),
  zombie_acknowledged: sum((verdict) => verdict.zombie_acknowledged),
  failed: sum(({ requests }) => requests.failed),
  invariant_broken: sum((verdict) => (verdict.invariant_ok ? 0 : 1)),
  writes_acknowledged: sum(({ writes }) => writes.acknowledged),
  unknown: sum(({ requests }) => requests.unknown),
  gateways_apart: sum((verdict) => (verdict.gateways_converge_ms === null ? 1 : 0)),
  gateways_converge_ms: spreadOf(verdicts.flatMap(({ gateways_converge_ms }) => gateways_converge_ms ?? [])),
  kinds,
};
say(
  `${good} of ${summary.runs} runs good; ${summary.writes_acknowledged} writes acknowledged, ${summary.missing} missing`,
);
if (options.gateways > 1)
  say(
    `${options.gateways} gateways had the same rows after p50/p95/max ms ${shown(summary.gateways_converge_ms)}; never in ${summary.gateways_apart} runs`,
  );
for (const [kind, one] of Object.entries(kinds)) {
  const { detect_agree_ms: detect, gap_ms: gap, gap_without_start_ms: without } = one;
  say(
    `${kind.padEnd(10)} ${one.count} times, p50/p95/max ms: detect+agree ${shown(detect)}, gap ${shown(gap)}, gap without the application's start ${shown(without)}`,
  );
}
if (options.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
process.exitCode = good === summary.runs ? 0 : 1;

interface Spread {
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    p50: rounded(percentile(sorted, 0.5), 1),
    p95: rounded(percentile(sorted, 0.95), 1),
    max: rounded(sorted.at(-1) ?? 0, 1),
  };
}

function summaryOf(kind: "kill" | "hang" | "switchover"): {
  count: number;
  detect_agree_ms: Spread;
  gap_ms: Spread;
  gap_without_start_ms: Spread;
} {
  const all = verdicts.flatMap(({ failovers }) => failovers.filter((one) => one.kind === kind));
  return {
    count: all.length,
    detect_agree_ms: spreadOf(all.map((one) => one.detect_ms + one.agree_ms)),
    gap_ms: spreadOf(all.map((one) => one.gap_ms)),
    gap_without_start_ms: spreadOf(all.map((one) => one.gap_ms - one.start_ms)),
  };
}

function shown({ p50, p95, max }: Spread): string {
  return `${p50.toFixed(0)}/${p95.toFixed(0)}/${max.toFixed(0)}`;
}

function shortly({ failovers, writes, requests }: VerdictObject): string {
  const gaps = failovers.map(({ kind, gap_ms }) => `${kind} ${gap_ms.toFixed(0)}`).join(", ");
  return `${writes.acknowledged} writes, ${writes.missing} missing, ${requests.failed} failed, ${requests.unknown} unknown; gaps: ${gaps} ms`;
}
