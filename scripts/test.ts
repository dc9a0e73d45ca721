/** Runs `bun test` and closes with one line that a machine can read: `N passed, N failed`. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "./lib/command.ts";
import { failedTests } from "./lib/failed-tests.ts";

/** Empty when there is none, because the run broke off. */
function readReport(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** Of bun's JUnit report. */
function counts(report: string): { tests: number; failures: number; skipped: number } {
  const head = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
  const number = (name: string): number => Number(new RegExp(` ${name}="(\\d+)"`).exec(head)?.[1] ?? 0);
  return { tests: number("tests"), failures: number("failures"), skipped: number("skipped") };
}

/**
 * A test that takes longer hangs. Many tests start processes; on a busy machine five seconds, the default, are no hang.
 */
const hangsAfterMs = 60_000;
/** Processes that run test files. Most of the time a test waits, so two of them take little more than half as long. */
const workers = Math.min(4, availableParallelism());
/**
 * Files whose tests need the machine for themselves, run after all others: they take disks away below real file
 * systems, and a process of another test that looks at its mounts meanwhile keeps them from being unmounted.
 */
const alone = ["test/scripts/lossy-disks.test.ts"];
const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "stead-test-"));
const wanted = process.argv.slice(2);
const isWanted = (file: string): boolean =>
  wanted.length === 0 || wanted.some((name) => file.startsWith(name.replace(/^\.\//, "").replace(/\/$/, "")));

interface Run {
  readonly tests: number;
  readonly failures: number;
  readonly skipped: number;
  /** What each failure says. */
  readonly failed: readonly string[];
}

async function run(name: string, args: readonly string[]): Promise<Run> {
  const reportFile = join(folder, `${name}.xml`);
  const command = [
    process.execPath,
    "test",
    `--timeout=${hangsAfterMs}`,
    "--reporter=junit",
    `--reporter-outfile=${reportFile}`,
    ...args,
  ];
  const { code } = await runCommand(command, { cwd: root, show: true });
  const report = readReport(reportFile);
  const found = counts(report);
  // An error outside any test, or no test at all, fails the run without a failure in the report.
  return { ...found, failures: code !== 0 && found.failures === 0 ? 1 : found.failures, failed: failedTests(report) };
}

try {
  const last = alone.filter(isWanted);
  const others = wanted.filter((name) => !last.includes(name));
  const runs: Run[] = [];
  if (wanted.length === 0 || others.length > 0)
    runs.push(
      await run("parallel", [
        `--parallel=${workers}`,
        ...alone.map((file) => `--path-ignore-patterns=${file}`),
        ...others,
      ]),
    );
  if (last.length > 0) runs.push(await run("alone", last));
  const sum = (of: (run: Run) => number): number => runs.reduce((total, one) => total + of(one), 0);
  const [tests, failures, skipped] = [sum((one) => one.tests), sum((one) => one.failures), sum((one) => one.skipped)];
  for (const block of runs.flatMap(({ failed }) => failed)) console.log(`\n== failed: ${block}`);
  if (skipped > 0) console.log(`${skipped} skipped (the reason is printed above)`);
  console.log(`${Math.max(0, tests - failures - skipped)} passed, ${failures} failed`);
  process.exitCode = failures === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
