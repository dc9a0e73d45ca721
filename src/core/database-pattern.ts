/**
 * Which names `host.databases` may have: paths below the data folder, with `*` and `?` within one segment and `**` for
 * any folders. One rule for the configuration, which refuses others before anything runs, and for capture, which looks
 * for the files.
 */
import { isDatabaseName } from "./database-name.ts";

const companions = /-(?:wal|shm|journal)$/;

/**
 * The host's lock on its folders (src/host/machine/folder-lock.ts): no database, whatever a pattern says, and never
 * moved away.
 */
export const folderLockName = ".stead-host.lock";

export const databasePatternAccepted =
  'a path below the data folder with forward slashes, where * and ? match within one segment and ** any folders, such as "notes.db", "tenants/*.db" or "**/*.db"';

/** The segment that stands for any number of folders, also none. */
export const anyFolders = "**";

/** True for a file that SQLite keeps beside a database, and for the host's lock. */
export const isCompanion = (name: string): boolean => companions.test(name) || name === folderLockName;

/** The name of the database that a file with the name of a companion would belong to; undefined for other names. */
export const ownerOf = (name: string): string | undefined =>
  companions.test(name) ? name.replace(companions, "") : undefined;

/**
 * The segments of a pattern; undefined when it is none: absolute, with `..`, the name of a companion file, or `**`
 * beside other letters or at the end.
 */
export function databaseSegments(pattern: string): readonly string[] | undefined {
  const segments = pattern.split("/");
  const isBad =
    !isDatabaseName(pattern) ||
    isCompanion(pattern) ||
    segments.at(-1) === anyFolders ||
    segments.some((part) => part !== anyFolders && part.includes("**"));
  return isBad ? undefined : segments;
}

/** What a segment of a path must be to match a segment of a pattern. */
export const segmentExpression = (segment: string): RegExp => new RegExp(`^${expressionOf(segment)}$`);

/** Whether a name matches one of `patterns` and none of `except`. */
export function nameMatcher(patterns: readonly string[], except: readonly string[] = []): (name: string) => boolean {
  const [wanted, unwanted] = [patterns, except].map((list) => list.flatMap((pattern) => nameExpression(pattern) ?? []));
  return (name) =>
    wanted?.some((expression) => expression.test(name)) === true &&
    unwanted?.some((expression) => expression.test(name)) !== true;
}

/** The names that no pattern matches, or that are excepted: what the vault knows and this host would not capture. */
export function unmatchedNames(
  names: Iterable<string>,
  patterns: readonly string[],
  except: readonly string[] = [],
): string[] {
  const matches = nameMatcher(patterns, except);
  return [...names].filter((name) => !matches(name));
}

const expressionOf = (segment: string): string =>
  segment
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", "[^/]*")
    .replaceAll("?", "[^/]");

function nameExpression(pattern: string): RegExp | undefined {
  const segments = databaseSegments(pattern);
  if (segments === undefined) return undefined;
  const parts = segments.map((segment, at) =>
    segment === anyFolders ? "(?:[^/]+/)*" : expressionOf(segment) + (at < segments.length - 1 ? "/" : ""),
  );
  return new RegExp(`^${parts.join("")}$`);
}

/** Of the databases that no pattern matches so many are named. */
const unmatchedShown = 5;

/** What an operator reads about databases of the vault that no pattern matches: found, and what to do. */
export function describeUnmatched(names: readonly string[], patterns: readonly string[]): string {
  const shown =
    names.slice(0, unmatchedShown).join(", ") +
    (names.length > unmatchedShown ? ` and ${names.length - unmatchedShown} more` : "");
  return `\`databases\` in [host] is ${JSON.stringify(patterns)} and leaves out ${shown}, which the vault has: writes there would be lost; list all, and restart this host (a database that is not wanted any more is deleted by the application of the primary)`;
}
