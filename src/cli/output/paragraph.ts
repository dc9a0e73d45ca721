/** Sentences for a terminal: broken between words, continued under their beginning. */

/** Characters of a line where nothing says how wide the terminal is. */
export const lineWidth = 100;

/**
 * What comes from a host or a database must not be able to move the cursor of a terminal: control characters become
 * `?`.
 */
export const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");

/** At least one line, none longer than `width` unless a single word is (a path, a URL): that stays whole. */
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

/** Lines that begin with `lead` and go on under the text, each ended. */
export function paragraph(lead: string, text: string, width: number = lineWidth): string {
  const indent = " ".repeat(lead.length);
  return wrap(printable(text), width - lead.length)
    .map((line, at) => `${at === 0 ? lead : indent}${line}\n`)
    .join("");
}
