/** Collects problems and prints them like a compiler: with file, line and key. */
import { escapeControls } from "../runtime/printable.ts";
import { type KeyPath, type Locator, pathText } from "./locate.ts";
import { isSecretKey } from "./secret-keys.ts";
import type { Problem } from "./types.ts";

export interface Said {
  readonly found: string;
  readonly accepted: string;
  readonly advice: string;
}

/** The problems of one file, with the positions of its keys. */
export class Problems {
  readonly #file: string;
  readonly #locate: Locator;
  readonly #list: Problem[] = [];
  readonly #redact: (text: string) => string;

  /** `redact` takes what is not to be shown out of each text. */
  constructor(file: string, locate: Locator, redact: (text: string) => string = (text) => text) {
    this.#file = file;
    this.#locate = locate;
    this.#redact = redact;
  }

  add(path: KeyPath, said: Said): void {
    const place = this.#locate(path);
    this.#list.push({
      file: this.#file,
      line: place?.line,
      column: place?.column,
      key: pathText(path),
      found: this.#redact(said.found),
      accepted: this.#redact(said.accepted),
      advice: this.#redact(said.advice),
    });
  }

  /** Returns the problems in the order of the file. */
  sorted(): Problem[] {
    const rank = (problem: Problem): number => problem.line ?? Number.MAX_SAFE_INTEGER;
    return this.#list.toSorted((a, b) => rank(a) - rank(b) || (a.column ?? 0) - (b.column ?? 0));
  }
}

/** Formats a value of the file for a message: short, in TOML's notation, never a secret. */
export function show(path: KeyPath, value: unknown): string {
  if (isSecretKey(path)) return "a value that is not shown here";
  if (value === undefined) return "nothing";
  if (value instanceof Date) return "a date";
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "a table";
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/**
 * The lines for a terminal.
 *
 * @example
 * stead.toml:7:1: error: host.lease: found 5, accepted: a duration with its unit ...
 *   do: write the number and its unit in quotes
 */
export function formatProblem(problem: Problem, severity: "error" | "warning"): string {
  const place = problem.line === undefined ? problem.file : `${problem.file}:${problem.line}:${problem.column ?? 1}`;
  const key = problem.key === "" ? "" : ` ${problem.key}:`;
  const lines = [
    `${place}: ${severity}:${key} found ${problem.found}`,
    `  accepted: ${problem.accepted}`,
    `  do: ${problem.advice}`,
  ];
  return lines.map((line) => escapeControls(line)).join("\n");
}

export function formatProblems(problems: readonly Problem[], severity: "error" | "warning" = "error"): string {
  return problems.map((problem) => formatProblem(problem, severity)).join("\n");
}
