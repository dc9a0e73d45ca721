/** Text for a terminal: broken between words, with continuation lines indented. */

import { escapeControls } from "../../runtime/printable.ts";

/** Line width in characters if the terminal's is unknown. */
export const lineWidth = 100;

/** Escapes control characters: text from a host or a database must not control the terminal. */
export const printable = (text: string): string => escapeControls(text);

/**
 * Returns at least one line, none longer than `width` except for a single long word (a path, a URL), which stays whole.
 */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Returns at most `width` characters, the last of them an ellipsis if something is left out. */
export const truncate = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

/** Formats lines that begin with `lead` and continue under the text, each with a line end. */
export function paragraph(lead: string, text: string, width: number = lineWidth): string {
  const indent = " ".repeat(lead.length);
  return wrap(printable(text), width - lead.length)
    .map((line, at) => `${at === 0 ? lead : indent}${line}\n`)
    .join("");
}
