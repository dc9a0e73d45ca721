/** `./scripts/bench`: its list is that of the files, and a report of one bench has all parts. */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageFile from "../../../package.json" with { type: "json" };
import { absent, benches, runBench } from "../../../scripts/bench-report/benches.ts";
import { markdownOf, type Report } from "../../../scripts/bench-report/report.ts";
import { runProgram } from "../../support/run-program.ts";

setDefaultTimeout(60_000);

const root = join(import.meta.dirname, "../../..");
const folder = mkdtempSync(join(tmpdir(), "stead-bench-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const env = process.env as Record<string, string>;
const bench = (...args: readonly string[]) =>
  runProgram(process.execPath, [join(root, "scripts/bench.ts"), ...args], { cwd: root, env });

test("every bench of package.json is in the list", () => {
  const scripts = Object.keys(packageFile.scripts).filter(
    (name) => name.startsWith("bench:") && name !== "bench:against",
  );
  expect(benches.map(({ name }) => `bench:${name}`).toSorted()).toEqual(scripts.toSorted());
  const files = readdirSync(join(root, "scripts"));
  for (const { name } of benches) expect(files).toContain(`bench-${name}.ts`);
});

test("a quick run writes the report, as Markdown and as JSON", async () => {
  const { code, out } = await bench("--quick", "--only", "look", "--out", folder);
  expect({ code, out }).toEqual({ code: 0, out: expect.stringContaining("look: turn 1 of 1") });
  const report = JSON.parse(readFileSync(join(folder, "report.json"), "utf8")) as Report;
  expect(report).toMatchObject({ turns: 1, quick: true, machine: { cores: expect.any(Number) } });
  expect(report.benches[0]?.rows.map(({ name }) => name)).toContain("results.databases=1.look_us");
  expect(readFileSync(join(folder, "report.md"), "utf8")).toContain("| results.databases=1.look_us |");
});

test("a missing program is named with its package, and a bench that cannot run is named with its words", async () => {
  expect(absent({ "no-such-program": "some-package", sh: "dash" })).toEqual([
    "no-such-program (Debian's package some-package)",
  ]);
  expect(await runBench(root, "none", [])).toEqual({ kind: "failed", why: "there is no scripts/bench-none.ts" });
  const refused = await runBench(root, "look", ["--no-such-option"]);
  expect(refused).toMatchObject({ kind: "failed", why: expect.stringContaining("--no-such-option: accepted are") });
});

test("wrong options are refused in words", async () => {
  expect(await bench("--only", "nothing")).toMatchObject({
    code: 2,
    err: expect.stringContaining("accepted: failover"),
  });
  const none = await bench("--only", "look", "--against", "no-such-commit");
  expect(none).toMatchObject({ code: 2, err: expect.stringContaining("accepted: --against with a commit") });
});

test("a comparison has both commits, and a bench without figures says why", () => {
  const spread = (median: number) => ({ median, lowest: median, highest: median });
  const text = markdownOf({
    ...{ commit: "b", against: "a", turns: 1, quick: false },
    machine: { cpu: "cpu", cores: 2, memoryGib: 4, system: "linux", bun: "1", load: [0, 1] },
    benches: [
      {
        name: "one",
        without: [],
        codes: [1],
        rows: [{ name: "ms", now: spread(2), before: spread(1), ratio: spread(2) }],
      },
      { name: "two", without: [], codes: [], rows: [], notRun: "no wrk (Debian's package wrk)" },
    ],
  });
  expect(text).toContain("| figure | before | now | now/before |");
  expect(text).toContain("| ms | 1 | 2 | 2 |");
  expect(text).toContain("Exit codes 1: a goal was missed.");
  expect(text).toContain("No figures: no wrk (Debian's package wrk)");
});
