/** Text for a terminal: broken between words, with continuation lines indented. */

import { escapeControls } from "../../runtime/printable.ts";

/** Line width in characters if the terminal's is unknown. */
export const lineWidth = 100;

/** Escapes control characters: text from a host or a database must not control the terminal. */
export const printable = (text: string): string => escapeControls(text);

/** Where text is shown. */
export interface Screen {
  /** Line width of paragraphs. */
  readonly text: number;
  /** Line width of tables. */
  readonly table: number;
  /** No line may be longer than it is wide: words are broken too. */
  readonly isTerminal: boolean;
}

/** `columns`: of the terminal; undefined: there is none. */
export const screenOf = (columns: number | undefined): Screen =>
  columns === undefined
    ? { text: lineWidth, table: Number.POSITIVE_INFINITY, isTerminal: false }
    : { text: Math.min(columns, lineWidth), table: columns, isTerminal: true };

/**
 * Returns at least one line, none longer than `width`, except for a single long word (a path, a URL) if words are not
 * broken.
 */
export function wrap(text: string, width: number, breaksWords = false): string[] {
  if (text.length <= width) return [text];
  const lines: string[] = [];
  let line = "";
  const words = text.split(" ").flatMap((word) => (breaksWords ? partsOf(word, width) : [word]));
  for (const word of words) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function partsOf(word: string, width: number): string[] {
  const length = Math.max(1, width);
  const count = Math.max(1, Math.ceil(word.length / length));
  return Array.from({ length: count }, (_, at) => word.slice(at * length, (at + 1) * length));
}

/** Returns at most `width` characters, the last of them an ellipsis if something is left out. */
export const truncate = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

const hangingIndent = 4;

/**
 * Formats lines that begin with `lead` and continue under the text, each with a line end. Under a lead of more than
 * half a line they continue near its beginning.
 */
export function paragraph(lead: string, text: string, screen: Screen = screenOf(undefined)): string {
  const { text: width, isTerminal } = screen;
  if (lead.length > width / 2) {
    const indent = " ".repeat(hangingIndent);
    const lines = wrap(printable(`${lead.trimStart()}${text}`), width - hangingIndent, isTerminal);
    const first = " ".repeat(lead.length - lead.trimStart().length);
    return lines.map((line, at) => `${at === 0 ? first : indent}${line}\n`).join("");
  }
  const indent = " ".repeat(lead.length);
  return wrap(printable(text), width - lead.length, isTerminal)
    .map((line, at) => `${at === 0 ? lead : indent}${line}\n`)
    .join("");
}

/** Formats one line, or several on a terminal that is narrower. */
export const formatLine = (text: string, screen: Screen): string =>
  screen.isTerminal ? paragraph("", text, { ...screen, text: screen.table }) : `${printable(text)}\n`;

export const formatLines = (text: string, screen: Screen): string =>
  text
    .split("\n")
    .map((line) => formatLine(line, screen))
    .join("");
