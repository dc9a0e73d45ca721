/** Which files import which, by the import and export statements of this repository's own files. */
import { dirname, join, normalize } from "node:path";

const statement = /(?:import|export)\s[^;]*?from\s+"(\.[^"]+)"|import\(\s*"(\.[^"]+)"\s*\)|import\s+"(\.[^"]+)"/g;

/**
 * Returns the paths, relative to the same root as `path`, that a file's text imports: for what is executed, or with its
 * types too.
 */
export function importsOf(path: string, text: string, what: "executed" | "with types" = "executed"): string[] {
  return [...text.matchAll(statement)].flatMap(([whole, from, dynamic, bare]) => {
    const target = from ?? dynamic ?? bare;
    const isLeftOut = what === "executed" && /^(?:import|export)\s+type\s/.test(whole);
    return target === undefined || isLeftOut ? [] : [normalize(join(dirname(path), target))];
  });
}

/** Returns for each file the files that import it. `files`: path to text. */
export function importersOf(files: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  const importers = new Map<string, string[]>();
  for (const [path, text] of files)
    for (const imported of importsOf(path, text)) {
      const known = importers.get(imported);
      if (known === undefined) importers.set(imported, [path]);
      else known.push(path);
    }
  return importers;
}

/** Returns the files that reach `target`, nearest first; each with its number of steps. */
export function reachersOf(
  target: string,
  importers: ReadonlyMap<string, readonly string[]>,
): ReadonlyMap<string, number> {
  const steps = new Map([[target, 0]]);
  for (const [path, step] of steps)
    for (const importer of importers.get(path) ?? []) if (!steps.has(importer)) steps.set(importer, step + 1);
  steps.delete(target);
  return steps;
}
