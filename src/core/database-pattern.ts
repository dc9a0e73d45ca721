/**
 * The names that `host.databases` may have: paths below the data folder, with `*` and `?` within one segment and `**`
 * for any folders. The configuration, which refuses others before anything runs, and capture, which looks for the
 * files, share this rule.
 */
import { isDatabaseName } from "./database-name.ts";

const companions = /-(?:wal|shm|journal)$/;

/**
 * The host's lock on its folders (src/host/machine/folder-lock.ts): never a database, whatever a pattern says, and
 * never moved away.
 */
export const folderLockName = ".stead-host.lock";

export const databasePatternAccepted =
  'a path below the data folder with forward slashes, where * and ? match within one segment and ** any folders, such as "notes.db", "tenants/*.db" or "**/*.db"';

/** The segment that matches any number of folders, including none. */
export const anyFolders = "**";

/** True for a file that SQLite keeps beside a database, and for the host's lock. */
export const isCompanion = (name: string): boolean => companions.test(name) || name === folderLockName;

/** Returns the name of the database to which a companion file would belong; undefined for other names. */
export const ownerOf = (name: string): string | undefined =>
  companions.test(name) ? name.replace(companions, "") : undefined;

/**
 * Returns the segments of a pattern; undefined if it is invalid: absolute, with `..`, the name of a companion file, or
 * `**` beside other letters or at the end.
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

/** Returns the expression that matches a segment of a path. */
export const segmentExpression = (segment: string): RegExp => new RegExp(`^${expressionOf(segment)}$`);

/** Returns a test for names of databases that match one of `patterns` and none of `except`. */
export function nameMatcher(patterns: readonly string[], except: readonly string[] = []): (name: string) => boolean {
  const [wanted, unwanted] = [patterns, except].map((list) => list.flatMap((pattern) => nameExpression(pattern) ?? []));
  return (name) =>
    isDatabaseName(name) &&
    !isCompanion(name) &&
    wanted?.some((expression) => expression.test(name)) === true &&
    unwanted?.some((expression) => expression.test(name)) !== true;
}

/**
 * Returns the names that match no pattern, or are excepted: databases of the vault that this host would not capture.
 */
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

/** Largest number of unmatched databases that a message names. */
const unmatchedShown = 5;

/** Formats the message about databases of the vault that match no pattern: found, and what to do. */
export function describeUnmatched(names: readonly string[], patterns: readonly string[]): string {
  const shown =
    names.slice(0, unmatchedShown).join(", ") +
    (names.length > unmatchedShown ? ` and ${names.length - unmatchedShown} more` : "");
  return `\`databases\` in [host] is ${JSON.stringify(patterns)} and leaves out ${shown}, which the vault has: writes there would be lost; list all, and restart this host (a database that is not wanted any more is deleted by the application of the primary)`;
}
