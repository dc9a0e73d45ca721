/** Files that mutants are made of, and which tests come near them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import { importersOf, importsOf, reachersOf } from "../lib/import-graph.ts";
import { type Mutation, mutationsOf } from "../lib/mutations.ts";
import { OptionError } from "../lib/options.ts";

/** Kinship counts as much as so many steps of imports. */
const kinStepsMax = 2;

export interface Target {
  /** Relative to the root of the repository. */
  readonly file: string;
  readonly text: string;
  /** Nearest first; not each of them reaches every line. */
  readonly tests: readonly string[];
  /** Changes with these tests. */
  readonly testsHash: string;
}

export interface Mutant extends Mutation {
  readonly target: Target;
}

/**
 * Returns the files that `names` has: files or folders below src, separated by commas; each with the `testsMax` nearest
 * files of tests that import it, its own first. The others are the nearer the fewer steps of imports lie between, in
 * its own tests' folder and below, and the more kin they are: if they import what it imports, its types included, and
 * few other tests do. Throws OptionError.
 */
export function targetsNamed(root: string, names: string, testsMax: number): Target[] {
  const accepted = "paths of files or folders below src, separated by commas";
  if (names === "") throw new OptionError("no --files", accepted);
  const files = names.split(",").flatMap((name) => {
    const path = join(root, name);
    if (!name.startsWith("src") || !existsSync(path)) throw new OptionError(`--files ${name}`, accepted);
    return sourcesBelow(path).map((file) => relative(root, file));
  });
  const texts = new Map(
    ["src", "test", "harness"].flatMap((part) =>
      sourcesBelow(join(root, part)).map((path) => [relative(root, path), readFileSync(path, "utf8")] as const),
    ),
  );
  const importers = importersOf(texts);
  const kinship = kinshipOf(texts);
  const hashes = new Map([...texts].map(([path, text]) => [path, hexHash(text)] as const));
  return files.map((file) => {
    // The file's own tests may reach it through a helper or a program that they start, and others directly: its own are
    // always among them.
    const own = file.replace(/^src\//, "test/").replace(/\.tsx?$/, ".test.ts");
    const near = texts.has(own) ? [[own, 1] as const] : [];
    const isAtHome = (path: string): boolean => path.startsWith(`${dirname(own)}/`);
    const kin = kinship(file);
    const tests = [...new Map([...reachersOf(file, importers), ...near])]
      .filter(([path]) => isTest(path) && !/^test\/(e2e|sim|packages)\//.test(path))
      .map(([path, steps]) => ({
        path,
        far: path === own ? -Infinity : steps + (isAtHome(path) ? 0 : 0.5) - Math.min(kinStepsMax, kin(path)),
      }))
      .sort((a, b) => a.far - b.far)
      .slice(0, testsMax)
      .map(({ path }) => path);
    const testsHash = hexHash(JSON.stringify(tests.map((test) => [test, hashes.get(test)])));
    return { file, text: texts.get(file) ?? "", tests, testsHash };
  });
}

const isTest = (path: string): boolean => path.endsWith(".test.ts");

/**
 * Returns how much a file of tests has to do with a source file by what both import: each import in common counts the
 * more the fewer files of tests have it. A test whose subject is used by the source file is found by that, though it
 * reaches it by the same long way as all others of its folder.
 */
function kinshipOf(texts: ReadonlyMap<string, string>): (file: string) => (test: string) => number {
  const imported = (path: string): Set<string> => new Set(importsOf(path, texts.get(path) ?? "", "with types"));
  const byTest = new Map([...texts.keys()].filter(isTest).map((path) => [path, imported(path)] as const));
  const counts = new Map<string, number>();
  for (const paths of byTest.values()) for (const path of paths) counts.set(path, (counts.get(path) ?? 0) + 1);
  return (file) => {
    const own = imported(file);
    const shareOf = (path: string): number => (own.has(path) ? 1 / (counts.get(path) ?? 1) : 0);
    return (test) => [...(byTest.get(test) ?? [])].reduce((sum, path) => sum + shareOf(path), 0);
  };
}

/**
 * Draws `count` of all mutants of the targets. Each has a rank of its own, which depends on the seed, its file and its
 * text alone, so that a change of one file leaves the draw of all others as it was.
 */
export function draw(targets: readonly Target[], count: number, seed: number): Mutant[] {
  const ranked = targets.flatMap((target) => {
    const seen = new Map<string, number>();
    return mutationsOf(target.text).map((mutation): { readonly mutant: Mutant; readonly rank: number } => {
      const mutant = { ...mutation, target };
      const name = [target.file, mutation.kind, lineOf(mutant), mutation.before, mutation.after].join("\n");
      const times = (seen.get(name) ?? 0) + 1;
      seen.set(name, times);
      return { mutant, rank: new SeededRandom(`${seed}\n${times}\n${name}`).fraction() };
    });
  });
  const chosen = new Set(ranked.toSorted((a, b) => a.rank - b.rank).slice(0, count));
  return ranked.filter((one) => chosen.has(one)).map(({ mutant }) => mutant);
}

export const hexHash = (text: string): string => sha256(new TextEncoder().encode(text)).toString("hex");

/** Returns the line of text that a mutant begins in. */
export const lineOf = ({ target, line }: Mutant): string => (target.text.split("\n")[line - 1] ?? "").trim();

function sourcesBelow(path: string): string[] {
  if (path.endsWith(".ts")) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(path, name))
    .sort();
}
