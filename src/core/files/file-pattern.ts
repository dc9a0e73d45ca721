/**
 * Which paths below the data folder are files of the service: `host.files`, without `host.files_except`.
 *
 * Patterns are those of databases (core/database-pattern.ts), and may end with `**`: everything below a folder, and the
 * folder itself. A folder that a pattern passes through is covered too, so that `secrets` has its mode on the next host
 * when only `secrets/*.key` is wanted. What `databases` matches, what SQLite keeps beside it, and what is this host's
 * own is never a file; nor is a database that `databases_except` leaves out, whose bytes in use are no copy of it.
 */
import { isDatabaseName } from "../database-name.ts";
import { anyFolders, folderLockName, nameMatcher, ownerOf, segmentExpression } from "../database-pattern.ts";

/** Below the data folder: where a secondary makes files before it puts them in place. */
export const incomingFolderName = ".stead-incoming";

export const filePatternAccepted =
  'a path below the data folder with forward slashes, where * and ? match within one segment, ** any folders, and ** at the end everything below, such as "uploads/**", ".migrate" or "secrets/*.key"';

/** Returns the segments of a pattern; undefined if it is invalid: absolute, with `..`, or `**` beside other letters. */
export function fileSegments(pattern: string): readonly string[] | undefined {
  const segments = pattern.split("/");
  const isBad =
    !isDatabaseName(pattern) ||
    segments.at(-1) === folderLockName ||
    segments.some((part) => part !== anyFolders && part.includes(anyFolders));
  return isBad ? undefined : segments;
}

export interface FilePatterns {
  readonly files: readonly string[];
  readonly except: readonly string[];
  readonly databases: readonly string[];
  /** Paths below the data folder that are this host's own (state, set-aside data), with everything below. */
  readonly reserved: readonly string[];
}

export interface FileMatcher {
  /** True for a file or link that is a file of the service. */
  covers(path: string): boolean;
  /** True for a folder that is itself part of the tree; only these have files. "" (the data folder) is none. */
  coversFolder(path: string): boolean;
  /** True for all that `covers`, and for a folder in which there may be files: it is watched. */
  visits(path: string): boolean;
  /** True for a path that `except` names, or a folder above it. */
  excepts(path: string): boolean;
}

/** The steps of a pattern: an expression for one segment, or any folders. */
type Step = RegExp | typeof anyFolders;

export function fileMatcher({ files, except, databases, reserved: given }: FilePatterns): FileMatcher {
  const wanted = files.map(stepsOf);
  const unwanted = except.map(stepsOf);
  const isNamed = nameMatcher(databases);
  const isDatabase = (path: string): boolean => {
    const owner = ownerOf(path);
    return isNamed(path) || (owner !== undefined && isNamed(owner));
  };
  const reserved = [...given, incomingFolderName, folderLockName];
  const isReserved = (path: string): boolean => reserved.some((own) => path === own || path.startsWith(`${own}/`));
  const excepts = (path: string): boolean => {
    const segments = path.split("/");
    return unwanted.some((steps) => segments.some((_, at) => isMatch(steps, segments.slice(0, at + 1), "whole")));
  };
  const isLeftOut = (path: string): boolean => isReserved(path) || excepts(path);
  const visits = (path: string): boolean =>
    path === "" || (wanted.some((steps) => isMatch(steps, path.split("/"), "beginning")) && !isLeftOut(path));
  return {
    covers: (path) =>
      wanted.some((steps) => isMatch(steps, path.split("/"), "whole")) && !isLeftOut(path) && !isDatabase(path),
    coversFolder: (path) => path !== "" && visits(path),
    visits,
    excepts,
  };
}

const stepsOf = (pattern: string): readonly Step[] =>
  (fileSegments(pattern) ?? []).map((segment) => (segment === anyFolders ? anyFolders : segmentExpression(segment)));

/** "beginning": the segments are those of a folder on the way to a match, or of a match that may be a folder. */
function isMatch(steps: readonly Step[], segments: readonly string[], how: "whole" | "beginning"): boolean {
  const [step, ...later] = steps;
  const [segment, ...rest] = segments;
  if (step === undefined) return segment === undefined;
  if (segment === undefined) return how === "beginning" || steps.every((each) => each === anyFolders);
  if (step === anyFolders) return isMatch(later, segments, how) || isMatch(steps, rest, how);
  return step.test(segment) && isMatch(later, rest, how);
}

/** Formats the message about files of the vault that match no pattern: found, and what to do. */
export function describeUnmatchedFiles(paths: readonly string[], patterns: readonly string[]): string {
  const more = paths.length > unmatchedShown ? ` and ${paths.length - unmatchedShown} more` : "";
  return `\`files\` in [host] is ${JSON.stringify(patterns)} and leaves out ${paths.slice(0, unmatchedShown).join(", ")}${more}, which the vault has: changes there would be lost; write the same patterns on all hosts, or add to files_except what the service can do without, and restart this host`;
}

const unmatchedShown = 5;
