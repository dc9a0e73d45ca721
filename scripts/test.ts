/** Runs `bun test` and closes with one line that a machine can read: `N passed, N failed`. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "./lib/command.ts";
import { failedTests } from "./lib/failed-tests.ts";

/** Counts of bun's JUnit report; undefined when there is none, because the run broke off. */
function counts(report: string): { tests: number; failures: number; skipped: number } | undefined {
  let text: string;
  try {
    text = readFileSync(report, "utf8");
  } catch {
    return undefined;
  }
  const head = /<testsuites [^>]*>/.exec(text)?.[0];
  const number = (name: string): number => Number(new RegExp(` ${name}="(\\d+)"`).exec(head ?? "")?.[1] ?? 0);
  return head === undefined
    ? undefined
    : { tests: number("tests"), failures: number("failures"), skipped: number("skipped") };
}

/**
 * A test that takes longer hangs. Many tests start processes; on a busy machine five seconds, the default, are no hang.
 */
const hangsAfterMs = 60_000;
/** Processes that run test files. Most of the time a test waits, so two of them take little more than half as long. */
const workers = Math.min(4, availableParallelism());
const root = join(import.meta.dirname, "..");
const folder = mkdtempSync(join(tmpdir(), "stead-test-"));
const report = join(folder, "report.xml");
try {
  const command = [
    process.execPath,
    "test",
    `--timeout=${hangsAfterMs}`,
    `--parallel=${workers}`,
    "--reporter=junit",
    `--reporter-outfile=${report}`,
    ...process.argv.slice(2),
  ];
  const { code, output } = await runCommand(command, { cwd: root, show: true });
  const found = counts(report) ?? { tests: 0, failures: 0, skipped: 0 };
  // An error outside any test, or no test at all, fails the run without a failure in the report.
  const failed = code !== 0 && found.failures === 0 ? 1 : found.failures;
  for (const block of failedTests(output)) console.log(`\n== failed, with what it printed:\n${block}`);
  if (found.skipped > 0) console.log(`${found.skipped} skipped (the reason is printed above)`);
  console.log(`${found.tests - found.failures - found.skipped} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
