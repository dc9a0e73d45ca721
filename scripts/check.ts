/** Everything that must hold besides the tests. One line for each check, and `N passed, N failed` at the end. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { attacksWithoutProof, mutantsOf } from "./lib/attacks.ts";
import { runCommand } from "./lib/command.ts";
import { endingVerbs, newsWords, nulls, sharedExports, snakeTags } from "./lib/dialect.ts";
import { disabledTests, lockFileViolations, logPlaces, unfinishedWork, wideComments } from "./lib/house-rules.ts";
import { layerViolations, readSources, type SourceFile } from "./lib/layers.ts";
import { misplacedTests } from "./lib/test-map.ts";
import { bannedWords } from "./lib/words.ts";

const root = join(import.meta.dirname, "..");
const bun = process.execPath;

/** Violations, one line each; none when the check holds. */
type Check = () => Promise<readonly string[]>;

const program =
  (...command: readonly string[]): Check =>
  async () => {
    const { code, output } = await runCommand([bun, ...command], { cwd: root, show: false });
    return code === 0 ? [] : output.trimEnd().split("\n");
  };

const paths = (...folders: readonly string[]): string[] =>
  folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
      .map((entry) => relative(root, join(entry.parentPath, entry.name))),
  );

const sources = (...folders: readonly string[]): SourceFile[] => readSources(root, paths(...folders));

const bin = (name: string): string => join("node_modules", name);

/** One dialect: tags, one name for one thing, what is absent, the verbs for ending, and the kinds of news. */
function dialect(): string[] {
  const api = "docs/CONTROL-API.md";
  const src = sources("src");
  return [
    ...snakeTags(src, { [api]: readFileSync(join(root, api), "utf8") }),
    ...sharedExports(src),
    ...nulls(src),
    ...endingVerbs(src),
    ...newsWords(src),
  ];
}

/** Sources, without the list of the words and its test, which hold them. */
const written = (): SourceFile[] =>
  sources("src", "harness", "test", "scripts", "examples").filter(
    ({ path }) => !["scripts/lib/words.ts", "test/scripts/words.test.ts"].includes(path),
  );

/** Documents that people read, without the style guide, which quotes the words that it bans. */
function documents(): SourceFile[] {
  const names = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md") && name !== "STYLE.md");
  return readSources(root, ["README.md", ...names.map((name) => join("docs", name))]);
}

/** Attacks that head comments describe, and the tests and mutants that carry them out. */
function attacks(): string[] {
  const [rules, mutants] = readSources(root, ["src/core/rules.ts", "test/sim/mutants.ts"]).map(({ text }) => text);
  return attacksWithoutProof(sources("src"), {
    tests: sources("test"),
    mutants: mutantsOf(rules ?? "", [mutants ?? ""]),
  });
}

/** Results of earlier checks, by content. A clean clone has none: there everything is checked. */
const cache = (name: string): string => join("node_modules", ".cache", "stead-check", name);
/**
 * A rule that looks at types can miss how a change elsewhere affects a file that did not change itself; continuous
 * integration finds that.
 */
const lintCache =
  process.env["CI"] === undefined
    ? ["--cache", "--cache-strategy", "content", "--cache-location", cache("lint.json")]
    : [];

const checks: Readonly<Record<string, Check>> = {
  types: program(bin("typescript/bin/tsc"), "--noEmit", "--incremental", "--tsBuildInfoFile", cache("types.json")),
  lint: program(
    bin("eslint/bin/eslint.js"),
    "src",
    "harness",
    "test",
    "scripts",
    "examples",
    "--max-warnings",
    "0",
    "--no-error-on-unmatched-pattern",
    ...lintCache,
  ),
  layers: () => Promise.resolve(layerViolations(sources("src", "harness"))),
  format: program(bin("@biomejs/biome/bin/biome"), "format", "."),
  width: () => Promise.resolve(wideComments(sources("src", "harness", "test", "scripts", "examples"))),
  "log places": () => Promise.resolve(logPlaces(sources("src", "harness", "scripts", "examples"))),
  dialect: () => Promise.resolve(dialect()),
  words: () => Promise.resolve(bannedWords([...written(), ...documents()])),
  unused: program(bin("knip/bin/knip-bun.js"), "--no-progress"),
  "lock file": () => Promise.resolve(lockFileViolations(readFileSync(join(root, "bun.lock"), "utf8"))),
  unfinished: () => Promise.resolve(unfinishedWork(sources("src", "harness", "scripts", "examples"))),
  "test map": () => Promise.resolve(misplacedTests(paths("test"), new Set(paths("src", "harness")))),
  attacks: () => Promise.resolve(attacks()),
  "disabled tests": () => Promise.resolve(disabledTests(sources("test"))),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(checks, name));
if (unknown.length > 0) {
  console.error(
    `check: found ${unknown.join(", ")}\n  accepted: ${Object.keys(checks).join(", ")}\n  do: name some of these, or none for all`,
  );
  process.exit(2);
}

let passed = 0;
let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const violations = await check();
  if (violations.length === 0) passed++;
  else failed++;
  console.log(`${violations.length === 0 ? "ok    " : "FAILED"} ${name}`);
  for (const line of violations) console.log(`       ${line}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
