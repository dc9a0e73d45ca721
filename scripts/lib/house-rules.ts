/**
 * Rules that no other tool checks, such as addresses in the lock file, and words that unfinished work leaves behind.
 */
import type { SourceFile } from "./layers.ts";

/** A lock file with download addresses works only where those addresses do; names, versions and hashes are enough. */
export function lockFileViolations(lockFile: string): string[] {
  return lockFile.split("\n").flatMap((line, index) => {
    const address = /(?:https?|git|ssh):\/\/[^"\s]*/.exec(line)?.[0];
    return address === undefined
      ? []
      : [`bun.lock:${index + 1}: holds the download address ${address}; run bun install without a configured registry`];
  });
}

// Written in two halves, so that this file does not find itself.
const unfinished = new RegExp(
  [
    "\\bTO" + "DO\\b",
    "\\bFIX" + "ME\\b",
    "\\bX" + "XX\\b",
    "\\bHA" + "CK\\b",
    "[Nn]ot (?:yet )?imple" + "mented",
    "[Ll]orem" + " ipsum",
  ].join("|"),
);

/** Words that stand where work should. */
export function unfinishedWork(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, index) => {
      const word = unfinished.exec(line)?.[0];
      return word === undefined ? [] : [`${path}:${index + 1}: "${word}": finish it or remove it`];
    }),
  );
}

/** The folder that may know where a log has its records. */
const logFolder = "src/vault/log/";
const logPlace = /\blog-key\.ts|\b(?:log|boundary)(?:Key|Prefix)\b|["'`](?:log|boundary)\/(?![\w-]+\.ts)/;

/** A record is an object in one implementation of the log only: all other code works over the port. */
export function logPlaces(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => !path.startsWith(logFolder))
    .flatMap(({ path, text }) =>
      text.split("\n").flatMap((line, index) => {
        const place = logPlace.exec(line)?.[0];
        return place === undefined
          ? []
          : [`${path}:${index + 1}: knows where records are ("${place}"): work over the port, ${logFolder}log.ts`];
      }),
    );
}

const widthMax = 120;

/**
 * Lines of comments that are too wide: the formatter leaves comments alone. Figures and tables (indented by four and
 * more) may be wider.
 */
export function wideComments(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, index) => {
      const isComment = /^\s*(?:\/\/|\/\*\*?|\*) ?(?! {4})/.test(line);
      return isComment && line.length > widthMax && !/https?:\/\//.test(line)
        ? [`${path}:${index + 1}: a comment of ${line.length} characters; ${widthMax} are the most`]
        : [];
    }),
  );
}

/**
 * Tests that were switched off or on alone by hand. A test that depends on the machine uses `test.skipIf` with its
 * reason.
 */
export function disabledTests(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, index) => {
      const call = /\b(?:test|describe|it)\.(?:skip|only|todo)\(/.exec(line)?.[0];
      return call === undefined ? [] : [`${path}:${index + 1}: "${call}": run the test, or remove it`];
    }),
  );
}
