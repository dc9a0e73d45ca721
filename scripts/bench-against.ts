/**
 * `bun run bench:against COMMIT BENCH [--turns N] [-- ARGUMENTS]`: one benchmark of this tree and of an earlier commit,
 * in turns on the same machine, and every figure beside the other.
 * `bun run bench:against main~5 gate --turns 3 -- --rounds 2`.
 *
 * On a shared machine a figure of yesterday is worthless: only runs side by side can be compared. The earlier commit is
 * checked out into a temporary folder, with its own dependencies when its lock file differs; each turn runs it and then
 * this tree.
 *
 * For each number in the benchmark's last line (--json): the medians of both, their ratio, and the lowest and highest
 * ratio of a turn. Which direction is worse depends on the figure; nothing is judged here. Exit code 1 when a run
 * fails.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, rounded } from "./bench-support.ts";

const here = dirname(dirname(fileURLToPath(import.meta.url)));
const usage =
  "bun run bench:against COMMIT BENCH [--turns N] [-- ARGUMENTS], where scripts/bench-BENCH.ts exists in both and knows --json";

interface Request {
  readonly commit: string;
  readonly bench: string;
  readonly turns: number;
  readonly passedOn: readonly string[];
}

/** Figures of one run by their place in the JSON: `results.0.ratio.p50`. */
type Figures = ReadonlyMap<string, number>;

interface Turn {
  readonly before: Figures;
  readonly now: Figures;
}

/** A reason why two commits cannot be compared. */
class ComparisonError extends Error {
  override readonly name = "ComparisonError";
}

try {
  compare(parse(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof ComparisonError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

function compare(request: Request): void {
  const folder = mkdtempSync(join(tmpdir(), "stead-bench-against-"));
  const before = join(folder, "before");
  try {
    checkOut(request.commit, before);
    if (!existsSync(benchFile(before, request.bench)))
      throw new ComparisonError(
        `commit ${request.commit} has no scripts/bench-${request.bench}.ts: there is nothing to compare with`,
      );
    const runs: Turn[] = [];
    for (let turn = 1; turn <= request.turns; turn += 1) {
      process.stderr.write(`turn ${turn} of ${request.turns}\n`);
      runs.push({ before: run(before, request), now: run(here, request) });
    }
    print(runs);
  } finally {
    spawnSync("git", ["worktree", "remove", "--force", before], { cwd: here });
    rmSync(folder, { recursive: true, force: true });
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

function checkOut(commit: string, into: string): void {
  execute("git", ["worktree", "add", "--quiet", "--detach", into, commit], here);
  const sameLock = readFileSync(join(here, "bun.lock"), "utf8") === readFileSync(join(into, "bun.lock"), "utf8");
  if (sameLock) symlinkSync(join(here, "node_modules"), join(into, "node_modules"));
  else execute(process.execPath, ["install", "--frozen-lockfile"], into);
}

function run(root: string, { bench, passedOn }: Request): Figures {
  const output = execute(process.execPath, [benchFile(root, bench), "--json", ...passedOn], root);
  const last = output.trimEnd().split("\n").at(-1) ?? "";
  try {
    return new Map(numbersIn(JSON.parse(last)));
  } catch {
    throw new ComparisonError(
      `scripts/bench-${bench}.ts of ${root} ended with "${last.slice(0, 200)}"; expected is one line of JSON`,
    );
  }
}

function* numbersIn(value: unknown, path = ""): Generator<[path: string, value: number]> {
  if (typeof value === "number") yield [path, value];
  else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) yield* numbersIn(inner, path === "" ? key : `${path}.${key}`);
  }
}

function print(runs: readonly Turn[]): void {
  const paths = [...(runs[0]?.now.keys() ?? [])].filter((path) =>
    runs.every((each) => each.before.has(path) && each.now.has(path)),
  );
  const width = Math.max(...paths.map((path) => path.length));
  process.stdout.write(
    `${"".padEnd(width)} ${"before".padStart(12)} ${"now".padStart(12)}  now/before [lowest, highest]\n`,
  );
  for (const path of paths) {
    const [old, now] = [
      runs.map((each) => each.before.get(path) ?? Number.NaN),
      runs.map((each) => each.now.get(path) ?? Number.NaN),
    ];
    const ratios = now.map((value, turn) => value / (old[turn] ?? Number.NaN));
    const spread = `[${Math.min(...ratios).toFixed(2)}, ${Math.max(...ratios).toFixed(2)}]`;
    const [mid, midOld] = [median(now), median(old)];
    process.stdout.write(
      `${path.padEnd(width)} ${String(rounded(midOld, 3)).padStart(12)} ${String(rounded(mid, 3)).padStart(12)}  ${(mid / midOld).toFixed(2)} ${spread}\n`,
    );
  }
}

function execute(command: string, args: readonly string[], cwd: string): string {
  const { status, stdout, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
  });
  if (status !== 0)
    throw new ComparisonError(
      `${command} ${args.join(" ")} in ${cwd} ended with ${error?.message ?? `exit code ${status}`}`,
    );
  return stdout;
}

function benchFile(root: string, bench: string): string {
  return join(root, "scripts", `bench-${bench}.ts`);
}
