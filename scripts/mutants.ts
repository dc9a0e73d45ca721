/**
 * `bun run mutants --files src/core/host/lease.ts,src/vault/log`: breaks these files in one place at a time, and runs
 * the tests that reach the place. A mutant that no test notices is a hole in the tests, or has no effect: then it
 * stands with its reason in scripts/equivalent-mutants.toml.
 *
 * `--files A,B`: files, or folders with all their files, below src. `--draw N`: only so many of their mutants, drawn by
 * `--seed N`; default: all. `--only A,B`: of the drawn ones those in these files or folders. `--tests N`: N files of
 * tests that reach the mutant's line (20), of the 3·N nearest that import its file, directly or not: its own first,
 * then those that import the same as it does. Tests of the whole program (test/e2e) and of the simulation (test/sim,
 * which has mutants of its own) reach everything, take long, and are not among them. `--histories N` (0): what these
 * tests do not notice is tried with so many histories of the simulator. `--report FILE`: verdicts and figures are
 * written there after each mutant; a run that is started again continues from them, and tries what survived again if
 * its tests have changed. Which lines a file of tests reaches is kept beside it, in FILE.reach. `--json`.
 *
 * Tests run in a copy of the tree. Which of them reach a line is measured (bun's coverage). A line that none reaches is
 * tried with the three nearest alone, whose processes and threads may reach it. A run that takes five times as long as
 * without a mutant, and at least 20 s, is ended, and counts as noticed: the mutant does not end.
 *
 * The last line with --json: {"bench":"mutants","commit","files","draw","seed","tests","mutants":N,"caught":N,
 * "endless":N,"survived":N,"equivalent":N,"unreached":N,"left_out":[…],"survivors":[{"file","line","kind","before",
 * "after",…}]}. Exit code 1 if one survived without a reason or was not reached, or a file of tests fails without a
 * mutant (`left_out`).
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";
import * as v from "valibot";
import { orEnd, readOptions, wholeNumber } from "./lib/options.ts";
import { draw, lineOf, type Mutant, targetsNamed } from "./mutants/targets.ts";
import { Trial } from "./mutants/trial.ts";
import { type Verdict, Verdicts } from "./mutants/verdicts.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const values = readOptions({
  files: { type: "string", default: "" },
  only: { type: "string", default: "src" },
  draw: { type: "string", default: "1000000" },
  seed: { type: "string", default: "1" },
  tests: { type: "string", default: "20" },
  histories: { type: "string", default: "0" },
  report: { type: "string" },
  json: { type: "boolean", default: false },
});

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
/** Files of tests that are looked at for one that is tried: many that come near a file do not reach a line of it. */
const lookedAtPerTest = 3;
const { drawn, verdicts, histories, tests } = orEnd(() => {
  const tests = wholeNumber("tests", values.tests, 1, 500);
  const count = wholeNumber("draw", values.draw, 1);
  const seed = wholeNumber("seed", values.seed, 0);
  const drawn = draw(targetsNamed(root, values.files, tests * lookedAtPerTest), count, seed).filter(isWanted);
  const sample = { commit: commit(), files: values.files, draw: drawn.length, seed, tests };
  const histories = wholeNumber("histories", values.histories, 0, 10_000);
  return { drawn, histories, tests, verdicts: new Verdicts(sample, drawn, values.report) };
});
const trial = orEnd(
  () =>
    new Trial({
      root,
      reachFile: values.report === undefined ? undefined : `${values.report}.reach`,
      testsMax: tests,
      histories,
      onUnfit: (test) => {
        say(`${test} does not pass without a mutant: it is left out`);
        verdicts.leaveOut(test);
      },
    }),
);
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => {
    trial.close();
    process.exit(130);
  });
try {
  for (const mutant of drawn) {
    const { verdict, by } = await judge(mutant);
    verdicts.add(mutant, verdict, by);
    if (verdict === "survived" || verdict === "unreached") say(describe(mutant, verdict));
  }
  report();
} finally {
  trial.close();
}

async function judge(mutant: Mutant): Promise<{ readonly verdict: Verdict; readonly by: string }> {
  const known = equivalent.find((one) => isSame(one, mutant));
  if (known !== undefined) return { verdict: "equivalent", by: known.reason };
  return verdicts.known(mutant) ?? (await trial.judge(mutant));
}

function isSame(known: (typeof equivalent)[number], mutant: Mutant): boolean {
  return (
    known.file === mutant.target.file &&
    known.before === mutant.before &&
    known.after === mutant.after &&
    known.in === lineOf(mutant)
  );
}

function isWanted({ target: { file } }: Mutant): boolean {
  return values.only.split(",").some((one) => file === one || file.startsWith(`${one}/`));
}

function report(): void {
  const { caught, endless, survived, unreached, ...known } = Object.fromEntries(
    (["caught", "endless", "equivalent", "survived", "unreached"] as const).map((one) => [one, verdicts.count(one)]),
  );
  say(
    `${drawn.length} mutants: ${caught} caught, ${endless} endless, ${known["equivalent"]} without effect (with a reason), ${survived} survived, ${unreached} in lines that no test reaches`,
  );
  if (verdicts.open.length > 0 || verdicts.leftOut.length > 0) process.exitCode = 1;
  if (!values.json) return;
  process.stdout.write(`${JSON.stringify({ ...verdicts.summary(), survivors: verdicts.open })}\n`);
}

function describe({ target, line, kind, before, after }: Mutant, verdict: Verdict): string {
  const short = (text: string): string => text.replace(/\s+/g, " ").slice(0, 100);
  return `${verdict} ${target.file}:${line} ${kind}: ${short(before)} -> ${short(after)}`;
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: root, encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}
