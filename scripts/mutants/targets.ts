/** Files that mutants are made of, and which tests come near them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import { importersOf, reachersOf } from "../lib/import-graph.ts";
import { type Mutation, mutationsOf } from "../lib/mutations.ts";
import { OptionError } from "../lib/options.ts";

export interface Target {
  /** Relative to the root of the repository. */
  readonly file: string;
  readonly text: string;
  /** Nearest first. */
  readonly tests: readonly string[];
  /** Changes with these tests. */
  readonly testsHash: string;
}

export interface Mutant extends Mutation {
  readonly target: Target;
}

/**
 * Returns the files that `names` has: files or folders below src, separated by commas; each with the `testsMax` nearest
 * files of tests that import it, its own first, and of those as near the ones of its folder. Throws OptionError.
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
  return files.map((file) => {
    // The file's own tests may reach it through a helper or a program that they start, and others directly: its own are
    // always among them.
    const own = file.replace(/^src\//, "test/").replace(/\.tsx?$/, ".test.ts");
    const near = texts.has(own) ? [[own, 1] as const] : [];
    const tests = [...new Map([...reachersOf(file, importers), ...near])]
      .filter(([path]) => path.endsWith(".test.ts") && !/^test\/(e2e|sim|packages)\//.test(path))
      .map(([path, steps]) => [path, path === own ? 0 : steps + (dirname(path) === dirname(own) ? 0 : 0.5)] as const)
      .sort(([, a], [, b]) => a - b)
      .slice(0, testsMax)
      .map(([path]) => path);
    const testsHash = hexHash(JSON.stringify(tests.map((test) => [test, texts.get(test)])));
    return { file, text: texts.get(file) ?? "", tests, testsHash };
  });
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
