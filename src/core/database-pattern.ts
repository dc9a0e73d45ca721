/**
 * Which names `host.databases` may have: paths below the data folder, with `*` and `?` within one segment. One rule for the
 * configuration, which refuses others before anything runs, and for capture, which looks for the files.
 */
const companions = /-(?:wal|shm|journal)$/;

/** The host's lock on its folders (src/host/folder-lock.ts): no database, whatever a pattern says, and never moved away. */
export const folderLockName = ".stead-host.lock";

export const databasePatternAccepted =
  'a path below the data folder with forward slashes, where * and ? match within one segment, such as "notes.db" or "tenants/*.db"';

/** True for a file that SQLite keeps beside a database, and for the host's lock. */
export const isCompanion = (name: string): boolean => companions.test(name) || name === folderLockName;

/** The segments of a pattern; undefined when it is none: absolute, with `..` or `**`, or the name of a companion file. */
export function databaseSegments(pattern: string): readonly string[] | undefined {
  const segments = pattern.split("/");
  const isBad = /[\\\0]/.test(pattern) || isCompanion(pattern) || segments.some((part) => part === "" || part === "." || part === ".." || part.includes("**"));
  return isBad ? undefined : segments;
}

/** What a segment of a path must be to match a segment of a pattern. */
export function segmentExpression(segment: string): RegExp {
  const escaped = segment.replace(/[.+^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${escaped}$`);
}

/** The names that no pattern matches: what the vault knows and this host would not capture. */
export function unmatchedNames(names: Iterable<string>, patterns: readonly string[]): string[] {
  const expressions = patterns.flatMap((pattern) => {
    const segments = databaseSegments(pattern);
    return segments === undefined ? [] : [segments.map(segmentExpression)];
  });
  return [...names].filter((name) => {
    const parts = name.split("/");
    return !expressions.some((pattern) => pattern.length === parts.length && pattern.every((expression, index) => expression.test(parts[index] ?? "")));
  });
}

/** Of the databases that no pattern matches so many are named. */
const unmatchedShown = 5;

/** What an operator reads about databases of the vault that no pattern matches: found, and what to do. */
export function describeUnmatched(names: readonly string[], patterns: readonly string[]): string {
  const shown = names.slice(0, unmatchedShown).join(", ") + (names.length > unmatchedShown ? ` and ${names.length - unmatchedShown} more` : "");
  return `\`databases\` in [host] is ${JSON.stringify(patterns)} and leaves out ${shown}, which the vault has: writes there would be lost; list all, and restart this host (a database that is not wanted any more is deleted by the application of the primary)`;
}
