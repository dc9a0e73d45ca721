/** What failed tests say, as `scripts/test` repeats it at the end. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../../scripts/lib/command.ts";
import { failedTests } from "../../scripts/lib/failed-tests.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-failed-tests-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Of a run of these files by `bun test --parallel`. */
async function reportOf(files: Readonly<Record<string, string>>): Promise<string> {
  const here = mkdtempSync(join(folder, "run-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(here, name), text);
  const report = join(here, "report.xml");
  const command = [process.execPath, "test", "--parallel=2", "--reporter=junit", `--reporter-outfile=${report}`];
  await runCommand(command, { cwd: here, show: false });
  return readFileSync(report, "utf8");
}

test("each failure is told with its error and nothing of what passed, wherever the run printed it", async () => {
  const text = [
    'import { beforeAll, describe, test } from "bun:test";',
    "let earlier;",
    'describe("libsql", () => {',
    '  beforeAll(() => { earlier = new Error("no <host> & \\"nothing\\"\\nlogs of it"); });',
    '  test("passes", () => {});',
    '  test("first", () => { throw earlier; });',
    '  test("second", () => { throw earlier; });',
    "});",
  ].join("\n");
  const blocks = failedTests(
    await reportOf({ "a.test.ts": text, "b.test.ts": text.replaceAll("no <host>", "of another file:") }),
  );
  expect(blocks.map((block) => block.split("\n").slice(0, 3)).sort()).toEqual([
    ["a.test.ts:6: libsql > first", 'Error: no <host> & "nothing"', "logs of it"],
    ["a.test.ts:7: libsql > second", 'Error: no <host> & "nothing"', "logs of it"],
    ["b.test.ts:6: libsql > first", 'Error: of another file: & "nothing"', "logs of it"],
    ["b.test.ts:7: libsql > second", 'Error: of another file: & "nothing"', "logs of it"],
  ]);
});

test("of a failure that says much the last lines are kept", async () => {
  const text = 'import { test } from "bun:test";\ntest("long", () => { throw new Error("line\\n".repeat(1000)); });';
  const [block = ""] = failedTests(await reportOf({ "long.test.ts": text }));
  expect(block.split("\n")).toHaveLength(81);
});
