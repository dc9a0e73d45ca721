/**
 * Words that read as translated. Each was met often in comments, messages and documents, and has a plain replacement;
 * docs/STYLE.md, "Words", says how to write instead.
 */
import type { SourceFile } from "./layers.ts";

const advice: readonly (readonly [pattern: string, instead: string])[] = [
  ["whoever|somebody|anybody|everybody", "the part that acts"],
  ["nobody", 'the part that does not: "no host", "no reader"'],
  ["the one who", "the part that acts"],
  ["anew", '"again", or a verb with "re-"'],
  ["for ever", '"without end", "permanently"'],
  ["under way", '"in progress", "in flight"'],
  ["(?:go|goes|going|went) on", '"continue"'],
  ["put(?:s|ting)? aside", '"set aside"'],
  ["said again", '"repeated"'],
  ["well primary", '"healthy primary"'],
  ["in office", '"serving"'],
  ["calendar time", '"wall clock"'],
];

const banned = advice.map(
  ([pattern, instead]) => [new RegExp(`(?<![\\w-])(?:${pattern})(?![\\w-])`, "i"), instead] as const,
);
/** Identifiers in camel case are no words. */
const identifier = /\b[a-z]+[A-Z]\w*/g;
/** The account of Unix systems that has nothing. */
const account = /["`]nobody["`]/g;

/** Lines that hold a banned word, with what to write instead. A phrase that a line break divides is not found. */
export function bannedWords(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, index) =>
      banned.flatMap(([pattern, instead]) => {
        const word = pattern.exec(line.replaceAll(identifier, "").replaceAll(account, ""))?.[0];
        return word === undefined ? [] : [`${path}:${index + 1}: "${word}": write ${instead}`];
      }),
    ),
  );
}
