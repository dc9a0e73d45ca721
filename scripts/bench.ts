/**
 * `./scripts/bench`: runs the benches one after the other and writes one report, `report.md` and `report.json`, with
 * medians, spread and the machine. `--only A,B`: these benches. `--turns N` (3): runs of each. `--against COMMIT`: each
 * turn runs the bench of that commit before this tree's, on the same machine. `--quick`: one short turn, which shows
 * that they work. `--out FOLDER` (dist/bench).
 *
 * A bench that needs a program that is not here is listed with Debian's package. The machine should be idle. Exit code
 * 1 if a bench gave no figures for another reason; a goal that was missed is in the report alone.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { absent, type Bench, benches, runBench } from "./bench-report/benches.ts";
import { ComparisonError, EarlierCommit } from "./bench-report/earlier-commit.ts";
import { rowsOf, type Turn } from "./bench-report/figures.ts";
import { type BenchResult, markdownOf, type Report } from "./bench-report/report.ts";
import { runCommand } from "./lib/command.ts";
import { oneOf, orEnd, readOptions, wholeNumber } from "./lib/options.ts";

const root = join(import.meta.dirname, "..");
const names = benches.map(({ name }) => name);
const values = readOptions({
  only: { type: "string", default: names.join(",") },
  turns: { type: "string" },
  against: { type: "string" },
  quick: { type: "boolean", default: false },
  out: { type: "string", default: join(root, "dist", "bench") },
});
const chosen = orEnd(() => values.only.split(",").map((name) => oneOf("only", name, names)));
const turns = orEnd(() => wholeNumber("turns", values.turns ?? (values.quick ? "1" : "3"), 1, 100));
const out = resolve(values.out);
const say = (line: string): void => void process.stdout.write(`${line}\n`);

try {
  await run();
} catch (error) {
  if (!(error instanceof ComparisonError)) throw error;
  process.stderr.write(`${error.message}\n  accepted: --against with a commit of this repository\n`);
  process.exitCode = 2;
}

async function run(): Promise<void> {
  const earlier = values.against === undefined ? undefined : await EarlierCommit.checkOut(root, values.against);
  try {
    const loadBefore = loadavg()[0] ?? 0;
    const results: BenchResult[] = [];
    for (const each of benches.filter(({ name }) => chosen.includes(name)))
      results.push(await resultOf(each, earlier?.root));
    write(results, await commitOf(), loadBefore);
  } finally {
    await earlier?.remove();
  }
}

async function resultOf(bench: Bench, before: string | undefined): Promise<BenchResult> {
  const { name, needs, uses, quick } = bench;
  const without = absent(uses);
  const missing = absent(needs);
  const nothing = { name, without, codes: [], rows: [] };
  if (missing.length > 0) {
    say(`${name}: not run: no ${missing.join(", ")}`);
    return { ...nothing, notRun: `no ${missing.join(", ")}` };
  }
  const done: Turn[] = [];
  const codes: number[] = [];
  for (let turn = 1; turn <= turns; turn++) {
    say(`${name}: turn ${turn} of ${turns}`);
    const args = values.quick ? quick : [];
    const old = before === undefined ? undefined : await runBench(before, name, args);
    const now = await runBench(root, name, args);
    if (now.kind === "failed") {
      say(`${name}: ${now.why}`);
      process.exitCode = 1;
      return { ...nothing, notRun: now.why };
    }
    // A bench that the earlier commit does not have, or whose options it does not know, has no figures of before.
    done.push({ now: now.figures, ...(old?.kind === "figures" ? { before: old.figures } : {}) });
    codes.push(now.code);
  }
  return { name, without, codes, rows: rowsOf(done) };
}

async function commitOf(): Promise<string> {
  const { code, output } = await runCommand(["git", "describe", "--always", "--dirty", "--exclude=*"], {
    ...{ cwd: root, show: false },
  });
  return code === 0 ? output.trim() : "unknown";
}

function write(results: readonly BenchResult[], commit: string, loadBefore: number): void {
  const report: Report = {
    ...{ commit, against: values.against, turns, quick: values.quick },
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memoryGib: Math.round(totalmem() / 2 ** 30),
      system: `${process.platform} ${process.arch}, kernel ${release().replace(/-.*/, "")}`,
      bun: Bun.version,
      load: [loadBefore, loadavg()[0] ?? 0],
    },
    benches: results,
  };
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "report.md"), markdownOf(report));
  writeFileSync(join(out, "report.json"), `${JSON.stringify(report, null, 1)}\n`);
  say(`wrote ${join(out, "report.md")} and report.json`);
}
