/**
 * `bun run bench:against COMMIT BENCH [--turns N] [-- ARGUMENTS]`: one benchmark of this tree and of an earlier commit,
 * in turns on the same machine, and every figure beside the other.
 * `bun run bench:against main~5 gate --turns 3 -- --rounds 2`. All of them: `./scripts/bench --against main~5`.
 *
 * On a shared machine a figure of yesterday is worthless: only runs side by side can be compared. Each turn runs the
 * earlier commit (bench-report/earlier-commit.ts) and then this tree.
 *
 * For each number in the benchmark's last line (--json): the medians of both, their ratio, and the lowest and highest
 * ratio of a turn. Which direction is worse depends on the figure; nothing is judged here. Exit code 1 when a run
 * fails.
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { rounded } from "./bench-support.ts";
import { benchFile, runBench } from "./bench-report/benches.ts";
import { ComparisonError, EarlierCommit } from "./bench-report/earlier-commit.ts";
import { type Figures, rowsOf, type Turn } from "./bench-report/figures.ts";

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const usage =
  "bun run bench:against COMMIT BENCH [--turns N] [-- ARGUMENTS], where scripts/bench-BENCH.ts exists in both and knows --json";

interface Request {
  readonly commit: string;
  readonly bench: string;
  readonly turns: number;
  readonly passedOn: readonly string[];
}

try {
  await compare(parse(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof ComparisonError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

async function compare(request: Request): Promise<void> {
  const earlier = await EarlierCommit.checkOut(here, request.commit);
  try {
    if (!existsSync(benchFile(earlier.root, request.bench)))
      throw new ComparisonError(
        `commit ${request.commit} has no scripts/bench-${request.bench}.ts: there is nothing to compare with`,
      );
    const runs: Turn[] = [];
    for (let turn = 1; turn <= request.turns; turn += 1) {
      process.stderr.write(`turn ${turn} of ${request.turns}\n`);
      runs.push({ before: await run(earlier.root, request), now: await run(here, request) });
    }
    print(runs);
  } finally {
    await earlier.remove();
  }
}

function parse(args: readonly string[]): Request {
  const end = args.indexOf("--");
  const own = end < 0 ? args : args.slice(0, end);
  const [commit, bench, option, count, ...rest] = own;
  const turns = option === undefined ? 3 : Number(count);
  const isOption = option === undefined || (option === "--turns" && Number.isInteger(turns) && turns > 0);
  if (commit === undefined || bench === undefined || !isOption || rest.length > 0)
    throw new ComparisonError(`found: ${own.join(" ") || "nothing"}; accepted is ${usage}`);
  if (!existsSync(benchFile(here, bench)))
    throw new ComparisonError(`there is no scripts/bench-${bench}.ts; accepted is ${usage}`);
  return { commit, bench, turns, passedOn: end < 0 ? [] : args.slice(end + 1) };
}

async function run(root: string, { bench, passedOn }: Request): Promise<Figures> {
  const found = await runBench(root, bench, passedOn);
  if (found.kind === "figures" && found.code === 0) return found.figures;
  const why = found.kind === "failed" ? found.why : `exit code ${found.code}`;
  throw new ComparisonError(`scripts/bench-${bench}.ts of ${root}: ${why}`);
}

function print(runs: readonly Turn[]): void {
  const rows = rowsOf(runs).filter(({ ratio }) => ratio !== undefined);
  const width = Math.max(...rows.map(({ name }) => name.length));
  process.stdout.write(
    `${"".padEnd(width)} ${"before".padStart(12)} ${"now".padStart(12)}  now/before [lowest, highest]\n`,
  );
  for (const { name, before, now, ratio } of rows) {
    if (before === undefined || ratio === undefined) continue;
    const [old, found] = [before, now].map(({ median }) => String(rounded(median, 3)).padStart(12));
    const spread = `[${ratio.lowest.toFixed(2)}, ${ratio.highest.toFixed(2)}]`;
    process.stdout.write(`${name.padEnd(width)} ${old} ${found}  ${ratio.median.toFixed(2)} ${spread}\n`);
  }
}
