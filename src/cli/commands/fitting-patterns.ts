/**
 * The patterns for `host.databases` that fit an existing data folder: every SQLite database in it and no other file.
 * `stead init` uses them, also while the application runs: files are only read (host/machine/folder-survey.ts), by a
 * process without an SQLite connection to them.
 */
import { basename, dirname, extname, join } from "node:path";
import { nameMatcher, ownerOf } from "../../core/database-pattern.ts";
import type { FolderSurvey } from "../../host/machine/folder-survey.ts";

/** With more patterns than an operator would read, `**` is used instead where it fits. */
const patternsMax = 8;

/** Returns undefined if there is no database, or so much in the folder that not all of it was looked at. */
export function fittingPatterns({ entries, isCut }: FolderSurvey): string[] | undefined {
  if (isCut) return undefined;
  const files = entries.filter(({ kind }) => kind === "file");
  const databases = files.filter(({ isDatabase }) => isDatabase).map(({ name }) => name);
  if (databases.length === 0) return undefined;
  const known = new Set(databases);
  const others = files.map(({ name }) => name).filter((name) => !known.has(name) && !known.has(ownerOf(name) ?? ""));
  const near = patternsFor(databases, others, (name) => join(dirname(name), `*${extname(name)}`));
  return near.length <= patternsMax ? near : patternsFor(databases, others, (name) => `**/*${extname(name)}`);
}

/** Returns one pattern for many databases if it matches no other file, else the names themselves. */
function patternsFor(
  databases: readonly string[],
  others: readonly string[],
  generalise: (name: string) => string,
): string[] {
  const tried = new Map<string, boolean>();
  const matchesOthers = (pattern: string): boolean => {
    const known = tried.get(pattern) ?? others.some(nameMatcher([pattern]));
    tried.set(pattern, known);
    return known;
  };
  const patterns = databases.map((name) => {
    const pattern = generalise(name);
    return extname(basename(name)) === "" || matchesOthers(pattern) ? name : pattern;
  });
  return [...new Set(patterns)].sort();
}
