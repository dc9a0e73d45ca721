/**
 * Text that others have written (clients, applications, file names), made safe for terminals and logs: it cannot move
 * the cursor, change colours or the clipboard, end a line, or reverse the direction of what follows.
 *
 * Control characters are those of C0 and C1 (a terminal takes U+009B for `ESC [`), DEL, the separators of lines and
 * paragraphs, and the marks that change the direction of text.
 */
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

const escaped = (character: string): string => {
  const code = character.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
};

/** Writes control characters as `\xHH` or `\uHHHH`, except those in `kept`. */
export const escapeControls = (text: string, kept = ""): string =>
  text.replace(controls, (character) => (kept.includes(character) ? character : escaped(character)));

/** Escapes everything but visible ASCII in JSON text, which stays the same value. */
export const asciiJson = (json: string): string =>
  json.replace(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
