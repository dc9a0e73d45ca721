/** Character classes of RFC 9110 as 256-entry tables: one look-up per byte, no regular expression in the hot path. */
export const CR = 13;
export const LF = 10;
export const SP = 32;
export const HTAB = 9;
export const COLON = 58;

function classOf(contains: (byte: number) => boolean): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) table[byte] = contains(byte) ? 1 : 0;
  return table;
}

const isDigit = (byte: number): boolean => byte >= 48 && byte <= 57;
const isAlpha = (byte: number): boolean => (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);

/** RFC 9110, 5.6.2: tchar. */
export const tokenBytes = classOf(
  (byte) => isDigit(byte) || isAlpha(byte) || "!#$%&'*+-.^_`|~".includes(String.fromCharCode(byte)),
);

/** The characters of which usual field names consist; other token characters make a name odd (known-fields.ts). */
export const usualNameBytes = classOf((byte) => isDigit(byte) || isAlpha(byte) || byte === 45);

/** RFC 9110, 5.5: field-content with SP and HTAB; obs-text (0x80-0xFF) is kept as it is. No other control character. */
export const fieldBytes = classOf((byte) => byte === HTAB || (byte >= 32 && byte !== 127));

/** Request target: visible ASCII without the fragment sign, which is never sent in one (RFC 9112, 3.2). */
export const targetBytes = classOf((byte) => byte > 32 && byte < 127 && byte !== 35);

/** Value of a hexadecimal digit, or 255. */
export const hexValues = (() => {
  const table = new Uint8Array(256).fill(255);
  for (let value = 0; value < 16; value++) {
    const digit = value.toString(16);
    table[digit.charCodeAt(0)] = value;
    table[digit.toUpperCase().charCodeAt(0)] = value;
  }
  return table;
})();

/** True when `text` is a non-empty token. */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (tokenBytes[text.charCodeAt(i)] !== 1) return false;
  }
  return text.length > 0;
}
