/**
 * `bun run mutants --files src/core/host/lease.ts,src/vault/log`: breaks these files in one place at a time, and runs
 * the tests that reach the place. A mutant that no test notices is a hole in the tests, or has no effect: then it
 * stands with its reason in scripts/equivalent-mutants.toml.
 *
 * `--files A,B`: files, or folders with all their files, below src. `--draw N`: only so many of their mutants, drawn by
 * `--seed N`; default: all. `--tests N`: for each file the N nearest files of tests that import it, directly or not
 * (20), its own first. Tests of the whole program (test/e2e) and of the simulation (test/sim, which has mutants of its
 * own) reach everything, take long, and are not among them. `--json`.
 *
 * Tests run in a copy of the tree. Which of them reach a line is measured first (bun's coverage): a mutant in a line
 * that none reaches survives without a run. A run that takes five times as long as without a mutant, and at least 20 s,
 * is ended, and counts as noticed: the mutant does not end.
 *
 * The last line with --json: {"bench":"mutants","mutants":N,"caught":N,"endless":N,"survived":N,"equivalent":N,
 * "unreached":N,"survivors":[{"file","line","kind","before","after"}]}. Exit code 1 if one survived without a reason
 * or was not reached, or the tests fail without a mutant.
 */
import { spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import * as v from "valibot";
import { SeededRandom } from "../harness/seeded-random.ts";
import { reachersOf } from "./lib/import-graph.ts";
import { type Mutation, mutated, mutationsOf } from "./lib/mutations.ts";
import { OptionError, orEnd, readOptions, wholeNumber } from "./lib/options.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** What tests need of the tree. */
const copiedParts = ["src", "test", "harness", "scripts", "examples", "migrations", "docs"];
const copiedFiles = ["package.json", "tsconfig.json", "bunfig.toml", "README.md"];
const linkedParts = ["node_modules", ".bun"];
const endlessMs = 20_000;
const testTimeoutMs = 10_000;

const values = readOptions({
  files: { type: "string", default: "" },
  draw: { type: "string", default: "1000000" },
  seed: { type: "string", default: "1" },
  tests: { type: "string", default: "20" },
  json: { type: "boolean", default: false },
});

interface Target {
  readonly file: string;
  readonly text: string;
  readonly tests: readonly string[];
}

interface Mutant extends Mutation {
  readonly target: Target;
}

type Verdict = "caught" | "endless" | "survived" | "equivalent" | "unreached";

interface TestRun {
  readonly kind: "passed" | "failed" | "endless";
  readonly tookMs: number;
}

const equivalentSchema = v.object({
  equivalent: v.optional(
    v.array(
      v.strictObject({ file: v.string(), before: v.string(), after: v.string(), in: v.string(), reason: v.string() }),
    ),
    [],
  ),
});

const say = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);
const { equivalent } = v.parse(
  equivalentSchema,
  parse(readFileSync(join(root, "scripts/equivalent-mutants.toml"), "utf8")),
);
const { targets, drawn } = orEnd(() => {
  const perFile = wholeNumber("tests", values.tests, 1, 500);
  const targets = filesNamed(values.files).map((file) => targetOf(file, perFile));
  return { targets, drawn: draw(targets, wholeNumber("draw", values.draw, 1), wholeNumber("seed", values.seed, 0)) };
});
const copy = copyTree();
/** Ends the run in progress. */
let endRun = (): void => undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    endRun();
    rmSync(copy, { recursive: true, force: true });
    process.exit(130);
  });
try {
  await run();
} finally {
  rmSync(copy, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const reach = new Map<Target, LineReach>();
  for (const target of targets) {
    const lines = await reachOf(target);
    if (lines === undefined) return;
    reach.set(target, lines);
  }
  const verdicts: { readonly mutant: Mutant; readonly verdict: Verdict }[] = [];
  for (const mutant of drawn) {
    const verdict = await judge(mutant, reach.get(mutant.target) as LineReach);
    verdicts.push({ mutant, verdict });
    if (verdict === "survived" || verdict === "unreached") say(describe(mutant, verdict));
  }
  report(verdicts);
}

/** For each line of a file the tests that execute it, nearest first, and how long all of them take, milliseconds. */
interface LineReach {
  readonly testsAt: ReadonlyMap<number, readonly string[]>;
  readonly tookMs: number;
}

/** Undefined: a test fails without any mutant; it is named. */
async function reachOf({ file, tests }: Target): Promise<LineReach | undefined> {
  const testsAt = new Map<number, string[]>();
  let tookMs = 0;
  for (const test of tests) {
    const folder = mkdtempSync(join(copy, "coverage-"));
    const coverage = ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${folder}`];
    const { kind, tookMs: took } = await runTests([test], 300_000, coverage);
    tookMs += took;
    if (kind !== "passed") {
      say(`${test} does not pass without a mutant: mend that first`);
      process.exitCode = 1;
      return undefined;
    }
    const report = join(folder, "lcov.info");
    for (const line of existsSync(report) ? linesHit(readFileSync(report, "utf8"), file) : [])
      testsAt.set(line, [...(testsAt.get(line) ?? []), test]);
  }
  say(`${file}: ${tests.length} files of tests reach ${testsAt.size} of its lines`);
  return { testsAt, tookMs };
}

/** Lines of a file that were executed, of a report in lcov's format. */
function linesHit(report: string, file: string): number[] {
  const record = report.split("end_of_record").find((text) => text.includes(`SF:${file}\n`)) ?? "";
  return [...record.matchAll(/^DA:(\d+),(\d+)/gm)].flatMap(([, line, hits]) => (hits === "0" ? [] : [Number(line)]));
}

async function judge(mutant: Mutant, { testsAt, tookMs }: LineReach): Promise<Verdict> {
  const reason = equivalent.find((known) => isSame(known, mutant));
  if (reason !== undefined) return "equivalent";
  const { target, line } = mutant;
  // A condition may span lines of which only the first is counted.
  const tests = testsAt.get(line) ?? testsAt.get(line - 1) ?? testsAt.get(line + 1) ?? [];
  if (tests.length === 0) return "unreached";
  writeFileSync(join(copy, target.file), mutated(target.text, mutant));
  try {
    const { kind } = await runTests(tests, Math.max(endlessMs, 5 * tookMs), ["--bail"]);
    return kind === "passed" ? "survived" : kind === "failed" ? "caught" : "endless";
  } finally {
    writeFileSync(join(copy, target.file), target.text);
  }
}

function isSame(known: (typeof equivalent)[number], { target, before, after, line }: Mutant): boolean {
  return (
    known.file === target.file &&
    known.before === before &&
    known.after === after &&
    known.in === (target.text.split("\n")[line - 1] ?? "").trim()
  );
}

/** Runs files of tests in the copy. */
async function runTests(tests: readonly string[], withinMs: number, flags: readonly string[]): Promise<TestRun> {
  const startedMs = performance.now();
  const child = spawn(
    process.execPath,
    ["test", "--timeout", `${testTimeoutMs}`, ...flags, ...tests.map((test) => `./${test}`)],
    {
      cwd: copy,
      stdio: "ignore",
      // A group of its own: what a test has started ends with it.
      detached: true,
    },
  );
  const end = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group has ended.
    }
  };
  endRun = end;
  const timer = setTimeout(end, withinMs);
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on("exit", (...how) => resolve(how)),
  );
  clearTimeout(timer);
  end();
  const tookMs = performance.now() - startedMs;
  return { kind: code === 0 ? "passed" : signal === "SIGKILL" && tookMs >= withinMs ? "endless" : "failed", tookMs };
}

function report(verdicts: readonly { readonly mutant: Mutant; readonly verdict: Verdict }[]): void {
  const count = (wanted: Verdict): number => verdicts.filter(({ verdict }) => verdict === wanted).length;
  const open = verdicts.filter(({ verdict }) => verdict === "survived" || verdict === "unreached");
  say(
    `${verdicts.length} mutants: ${count("caught")} caught, ${count("endless")} endless, ${count("equivalent")} without effect (with a reason), ${count("survived")} survived, ${count("unreached")} in lines that no test reaches`,
  );
  if (open.length > 0) process.exitCode = 1;
  if (!values.json) return;
  const survivors = open.map(({ mutant: { target, line, kind, before, after } }) => ({
    file: target.file,
    line,
    kind,
    before,
    after,
  }));
  process.stdout.write(
    `${JSON.stringify({ bench: "mutants", mutants: verdicts.length, caught: count("caught"), endless: count("endless"), survived: count("survived"), equivalent: count("equivalent"), unreached: count("unreached"), survivors })}\n`,
  );
}

function describe({ target, line, kind, before, after }: Mutant, verdict: Verdict): string {
  const short = (text: string): string => text.replace(/\s+/g, " ").slice(0, 100);
  return `${verdict} ${target.file}:${line} ${kind}: ${short(before)} -> ${short(after)}`;
}

/** Throws OptionError. */
function filesNamed(names: string): string[] {
  const accepted = "paths of files or folders below src, separated by commas";
  if (names === "") throw new OptionError("no --files", accepted);
  return names.split(",").flatMap((name) => {
    const path = join(root, name);
    if (!name.startsWith("src") || !existsSync(path)) throw new OptionError(`--files ${name}`, accepted);
    return sourcesBelow(path).map((file) => relative(root, file));
  });
}

function sourcesBelow(path: string): string[] {
  if (path.endsWith(".ts")) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(path, name))
    .sort();
}

function targetOf(file: string, testsMax: number): Target {
  const texts = new Map(
    ["src", "test", "harness"].flatMap((part) =>
      sourcesBelow(join(root, part)).map((path) => [relative(root, path), readFileSync(path, "utf8")] as const),
    ),
  );
  // The file's own tests may reach it through a helper, and others directly: its own are always among them.
  const own = file.replace(/^src\//, "test/").replace(/\.tsx?$/, ".test.ts");
  const tests = [...reachersOf(file, texts)]
    .filter(([path]) => path.endsWith(".test.ts") && !/^test\/(e2e|sim)\//.test(path))
    .sort(([path, a], [other, b]) => Number(other === own) - Number(path === own) || a - b)
    .slice(0, testsMax)
    .map(([path]) => path);
  return { file, text: texts.get(file) ?? "", tests };
}

function draw(all: readonly Target[], count: number, seed: number): Mutant[] {
  const mutants = all.flatMap((target) =>
    mutationsOf(target.text).map((mutation): Mutant => ({ ...mutation, target })),
  );
  const random = new SeededRandom(seed);
  const left = [...mutants.keys()];
  const chosen = new Set<number>();
  while (chosen.size < count && left.length > 0)
    for (const at of left.splice(random.int(0, left.length - 1), 1)) chosen.add(at);
  return mutants.filter((_, at) => chosen.has(at));
}

function copyTree(): string {
  const folder = mkdtempSync(join(tmpdir(), "stead-mutants-"));
  for (const part of [...copiedParts, ...copiedFiles])
    cpSync(join(root, part), join(folder, part), { recursive: true });
  for (const part of linkedParts) if (existsSync(join(root, part))) symlinkSync(join(root, part), join(folder, part));
  return folder;
}
